// Matrices of eight by eight that a simdgroup holds: each lane has two neighbours of one row.
#pragma once

namespace metal {

template <class T, int R, int C>
struct simdgroup_matrix {
  static_assert(R == 8 && C == 8, "simdgroup matrices are 8x8");
  vec<T, 2> elements;

  simdgroup_matrix() = default;
  explicit simdgroup_matrix(T diagonal) {
    unsigned row, column;
    position(row, column);
    elements[0] = row == column ? diagonal : (T)0;
    elements[1] = row == column + 1 ? diagonal : (T)0;
  }
  vec<T, 2> &thread_elements() { return elements; }
  const vec<T, 2> &thread_elements() const { return elements; }

  // The first of the two elements of this lane.
  static void position(unsigned &row, unsigned &column) {
    unsigned lane = lanes::own(), quad = lane / 4;
    row = (quad & 4) + (lane / 2) % 4;
    column = (quad & 2) * 2 + (lane % 2) * 2;
  }
  static unsigned lane_of(unsigned row, unsigned column) {
    return (row & 4) * 4 + (column & 4) * 2 + (row & 3) * 2 + ((column >> 1) & 1);
  }
  // Lane arithmetic needs all of them.
  static void require_full_simdgroup() {
    if (lanes::count() != msl::SIMD_WIDTH) msl::fail("a simdgroup matrix in a simdgroup of %u lanes", lanes::count());
  }
};
typedef simdgroup_matrix<float, 8, 8> simdgroup_float8x8;
typedef simdgroup_matrix<half, 8, 8> simdgroup_half8x8;
typedef simdgroup_matrix<bfloat, 8, 8> simdgroup_bfloat8x8;

template <class T, int R, int C = R>
simdgroup_matrix<T, R, C> make_filled_simdgroup_matrix(T value) {
  simdgroup_matrix<T, R, C> m;
  m.elements = vec<T, 2>(value, value);
  return m;
}

template <class P>
inline P *element_address(P *origin, ulong stride, const ulong2 &offset, bool is_transposed, unsigned row,
                          unsigned column) {
  if (is_transposed) return origin + (offset[1] + column) * stride + offset[0] + row;
  return origin + (offset[1] + row) * stride + offset[0] + column;
}

template <class T, class S>
inline void simdgroup_load(simdgroup_matrix<T, 8, 8> &m, const S *source, ulong stride = 8,
                           ulong2 offset = ulong2(0, 0), bool is_transposed = false, MSL_HERE) {
  m.require_full_simdgroup();
  unsigned row, column;
  m.position(row, column);
  msl::wait(msl::State::AT_SIMDGROUP, site);
  for (unsigned k = 0; k < 2; k++)
    m.elements[k] = (T)*element_address(source, stride, offset, is_transposed, row, column + k);
}

template <class T, class S>
inline void simdgroup_store(const simdgroup_matrix<T, 8, 8> &m, S *target, ulong stride = 8,
                            ulong2 offset = ulong2(0, 0), bool is_transposed = false, MSL_HERE) {
  m.require_full_simdgroup();
  unsigned row, column;
  m.position(row, column);
  for (unsigned k = 0; k < 2; k++)
    *element_address(target, stride, offset, is_transposed, row, column + k) = (S)m.elements[k];
  msl::wait(msl::State::AT_SIMDGROUP, site);
}

// d = a b + c, summed in float over rising k.
template <class D, class A, class B, class C>
inline void simdgroup_multiply_accumulate(simdgroup_matrix<D, 8, 8> &d, const simdgroup_matrix<A, 8, 8> &a,
                                          const simdgroup_matrix<B, 8, 8> &b,
                                          const simdgroup_matrix<C, 8, 8> &c, MSL_HERE) {
  struct Pair {
    vec<A, 2> a;
    vec<B, 2> b;
  };
  d.require_full_simdgroup();
  lanes::show(Pair{a.elements, b.elements}, site);
  unsigned row, column;
  d.position(row, column);
  float sums[2] = {(float)c.elements[0], (float)c.elements[1]};
  for (unsigned k = 0; k < 8; k++) {
    float left = (float)lanes::of<Pair>(d.lane_of(row, k)).a[k & 1];
    Pair right = lanes::of<Pair>(d.lane_of(k, column));
    sums[0] += left * (float)right.b[0];
    sums[1] += left * (float)right.b[1];
  }
  d.elements[0] = (D)sums[0];
  d.elements[1] = (D)sums[1];
}

template <class D, class A, class B>
inline void simdgroup_multiply(simdgroup_matrix<D, 8, 8> &d, const simdgroup_matrix<A, 8, 8> &a,
                               const simdgroup_matrix<B, 8, 8> &b, MSL_HERE) {
  simdgroup_matrix<D, 8, 8> zero = make_filled_simdgroup_matrix<D, 8, 8>((D)0);
  simdgroup_multiply_accumulate(d, a, b, zero, site);
}

}  // namespace metal
