// Barriers, and functions of a simdgroup: every lane shows a value, waits, and reads those of the others.
//
// A collective takes the place in the source where it was called, so that lanes that wait for different
// things are told apart, however the compiler arranges the code.
#pragma once

namespace metal {

enum class mem_flags {
  mem_none = 0,
  mem_device = 1,
  mem_threadgroup = 2,
  mem_texture = 4,
  mem_threadgroup_imageblock = 8
};
inline constexpr mem_flags operator|(mem_flags a, mem_flags b) { return (mem_flags)((int)a | (int)b); }
enum memory_order { memory_order_relaxed, memory_order_seq_cst };
enum thread_scope { thread_scope_thread, thread_scope_simdgroup, thread_scope_threadgroup, thread_scope_device };

MSL_INLINE void threadgroup_barrier(mem_flags, MSL_HERE) { msl::wait(msl::State::AT_BARRIER, site); }
MSL_INLINE void simdgroup_barrier(mem_flags, MSL_HERE) { msl::wait(msl::State::AT_SIMDGROUP, site); }
inline void atomic_thread_fence(mem_flags, memory_order = memory_order_seq_cst,
                                thread_scope = thread_scope_device) {}

template <class T>
struct is_simd_type : std::bool_constant<is_scalar<T>::value && sizeof(T) <= 4> {};
template <class T, int N>
struct is_simd_type<vec<T, N>> : is_simd_type<T> {};
template <class T>
using if_simd = std::enable_if_t<is_simd_type<T>::value>;

namespace lanes {

template <class T>
MSL_INLINE void show(const T &value, msl::Site site) {
  static_assert(sizeof(T) <= 64, "too large for an exchange");
  msl::Fiber *fiber = msl::context.current;
  fiber->parity ^= 1;
  memcpy(fiber->simdgroup->exchange[fiber->parity][fiber->lane], (const void *)&value, sizeof value);
  msl::wait(msl::State::AT_SIMDGROUP, site);
}

// The value of another lane; of a lane that does not exist, poison.
template <class T>
MSL_INLINE T of(unsigned lane) {
  const msl::Fiber *fiber = msl::context.current;
  T value;
  if (lane < fiber->simdgroup->num_lanes)
    memcpy((void *)&value, fiber->simdgroup->exchange[fiber->parity][lane], sizeof value);
  else
    memset((void *)&value, msl::POISON, sizeof value);
  return value;
}

inline unsigned own() { return msl::context.current->lane; }
inline unsigned count() { return msl::context.current->simdgroup->num_lanes; }

// Combines all lanes in order; the first that asks computes it for all.
template <class T, class Operation>
MSL_INLINE T reduce(T value, Operation combine, msl::Site site) {
  show(value, site);
  msl::Simdgroup *simdgroup = msl::context.current->simdgroup;
  T result;
  if (!simdgroup->is_reduced) {
    result = of<T>(0);
    for (unsigned lane = 1; lane < simdgroup->num_lanes; lane++) result = combine(result, of<T>(lane));
    memcpy((void *)simdgroup->reduced, (const void *)&result, sizeof result);
    simdgroup->is_reduced = true;
  }
  memcpy((void *)&result, simdgroup->reduced, sizeof result);
  return result;
}

}  // namespace lanes

#define MSL_REDUCTION(name, expression)                            \
  template <class T, class = if_simd<T>>                           \
  MSL_INLINE T name(T value, MSL_HERE) {                           \
    return lanes::reduce(value, [](T a, T b) { return (T)(expression); }, site); \
  }
MSL_REDUCTION(simd_sum, a + b)
MSL_REDUCTION(simd_product, a *b)
MSL_REDUCTION(simd_max, max(a, b))
MSL_REDUCTION(simd_min, min(a, b))
MSL_REDUCTION(simd_and, a &b)
MSL_REDUCTION(simd_or, a | b)
MSL_REDUCTION(simd_xor, a ^ b)
#undef MSL_REDUCTION
MSL_INLINE bool simd_any(bool value, MSL_HERE) { return simd_or<int>(value, site); }
MSL_INLINE bool simd_all(bool value, MSL_HERE) { return simd_and<int>(value, site); }

#define MSL_LANE_FUNCTION template <class T, class = if_simd<T>> MSL_INLINE
MSL_LANE_FUNCTION T simd_shuffle(T value, ushort lane, MSL_HERE) {
  lanes::show(value, site);
  return lanes::of<T>(lane & 31);
}
MSL_LANE_FUNCTION T simd_broadcast(T value, ushort lane, MSL_HERE) { return simd_shuffle(value, lane, site); }
MSL_LANE_FUNCTION T simd_broadcast_first(T value, MSL_HERE) { return simd_shuffle(value, 0, site); }
MSL_LANE_FUNCTION T simd_shuffle_xor(T value, ushort mask, MSL_HERE) {
  return simd_shuffle(value, (ushort)(lanes::own() ^ mask), site);
}
// Lanes that would look beyond the simdgroup keep their own value.
MSL_LANE_FUNCTION T simd_shuffle_down(T value, ushort delta, MSL_HERE) {
  lanes::show(value, site);
  unsigned lane = lanes::own() + delta;
  return lanes::of<T>(lane > 31 ? lanes::own() : lane);
}
MSL_LANE_FUNCTION T simd_shuffle_up(T value, ushort delta, MSL_HERE) {
  lanes::show(value, site);
  return lanes::of<T>(lanes::own() < delta ? lanes::own() : lanes::own() - delta);
}
MSL_LANE_FUNCTION T simd_shuffle_and_fill_down(T value, T fill, ushort delta, MSL_HERE) {
  lanes::show(value, site);
  unsigned lane = lanes::own() + delta;
  return lane > 31 ? fill : lanes::of<T>(lane);
}
MSL_LANE_FUNCTION T simd_shuffle_and_fill_up(T value, T fill, ushort delta, MSL_HERE) {
  lanes::show(value, site);
  return lanes::own() < delta ? fill : lanes::of<T>(lanes::own() - delta);
}
MSL_LANE_FUNCTION T simd_prefix_inclusive_sum(T value, MSL_HERE) {
  lanes::show(value, site);
  T sum = 0;
  for (unsigned lane = 0; lane <= lanes::own(); lane++) sum = sum + lanes::of<T>(lane);
  return sum;
}
MSL_LANE_FUNCTION T simd_prefix_exclusive_sum(T value, MSL_HERE) {
  lanes::show(value, site);
  T sum = 0;
  for (unsigned lane = 0; lane < lanes::own(); lane++) sum = sum + lanes::of<T>(lane);
  return sum;
}

struct simd_vote {
  typedef uint64_t vote_t;
  uint64_t bits;
  explicit operator uint64_t() const { return bits; }
  bool all() const { return bits == ~0u; }
  bool any() const { return bits; }
};
MSL_INLINE simd_vote simd_ballot(bool value, MSL_HERE) {
  return {simd_or<uint>((uint)value << lanes::own(), site)};
}
MSL_INLINE simd_vote simd_active_threads_mask(MSL_HERE) {
  msl::wait(msl::State::AT_SIMDGROUP, site);
  return {msl::context.current->simdgroup->active()};
}
MSL_INLINE bool simd_is_first(MSL_HERE) {
  msl::wait(msl::State::AT_SIMDGROUP, site);
  return lanes::own() == 0;
}

MSL_LANE_FUNCTION T quad_broadcast(T value, ushort lane, MSL_HERE) {
  return simd_shuffle(value, (ushort)((lanes::own() & ~3u) + (lane & 3)), site);
}
MSL_LANE_FUNCTION T quad_shuffle_xor(T value, ushort mask, MSL_HERE) {
  return simd_shuffle_xor(value, (ushort)(mask & 3), site);
}
MSL_LANE_FUNCTION T quad_sum(T value, MSL_HERE) {
  lanes::show(value, site);
  unsigned first = lanes::own() & ~3u;
  return (T)(lanes::of<T>(first) + lanes::of<T>(first + 1) + lanes::of<T>(first + 2) + lanes::of<T>(first + 3));
}
MSL_LANE_FUNCTION T quad_max(T value, MSL_HERE) {
  lanes::show(value, site);
  unsigned first = lanes::own() & ~3u;
  T low = max(lanes::of<T>(first), lanes::of<T>(first + 1));
  return max(low, max(lanes::of<T>(first + 2), lanes::of<T>(first + 3)));
}
#undef MSL_LANE_FUNCTION

}  // namespace metal

template <class T>
struct __is_valid_simdgroup_type : metal::is_simd_type<T> {};
