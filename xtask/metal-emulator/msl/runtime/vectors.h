// Vectors of two to four elements with the layout and the swizzles of Metal's.
#pragma once

#define MSL_INLINE __attribute__((always_inline)) inline

namespace metal {

using ::bfloat;
using ::half;
using ::size_t;
using ::uchar;
using ::uint;
using ::ulong;
using ::ushort;

template <class T>
struct is_scalar : std::bool_constant<std::is_arithmetic<T>::value || std::is_same<T, half>::value ||
                                      std::is_same<T, bfloat>::value> {};
template <class T>
using if_scalar = std::enable_if_t<is_scalar<T>::value>;

template <class T, int N>
struct vec;

// Some elements of a vector under one name, as `xy` of `float4`.
template <class T, int N, int... I>
struct swizzle {
  T v[N];
  static constexpr int size = sizeof...(I);
  swizzle() = default;
  swizzle(const swizzle &) = default;
  operator vec<T, size>() const { return vec<T, size>(v[I]...); }
  swizzle &operator=(const vec<T, size> &other) {
    int k = 0;
    ((v[I] = other[k++]), ...);
    return *this;
  }
  swizzle &operator=(const swizzle &other) { return *this = (vec<T, size>)other; }
};

template <class T, int N>
struct vector_storage;
template <class T>
struct alignas(sizeof(T) * 2) vector_storage<T, 2> {
  vector_storage() = default;
  union {
    T v[2];
    struct { T x, y; };
    struct { T r, g; };
    swizzle<T, 2, 0, 1> xy;
    swizzle<T, 2, 1, 0> yx;
    swizzle<T, 2, 0, 0> xx;
    swizzle<T, 2, 1, 1> yy;
  };
};
// Three elements take the room of four.
template <class T>
struct alignas(sizeof(T) * 4) vector_storage<T, 3> {
  union {
    T v[3];
    struct { T x, y, z; };
    struct { T r, g, b; };
    swizzle<T, 3, 0, 1> xy;
    swizzle<T, 3, 1, 2> yz;
    swizzle<T, 3, 0, 2> xz;
    swizzle<T, 3, 0, 1, 2> xyz;
    swizzle<T, 3, 2, 1, 0> zyx;
  };
};
template <class T>
struct alignas(sizeof(T) * 4) vector_storage<T, 4> {
  union {
    T v[4];
    struct { T x, y, z, w; };
    struct { T r, g, b, a; };
    swizzle<T, 4, 0, 1> xy;
    swizzle<T, 4, 2, 3> zw;
    swizzle<T, 4, 1, 2> yz;
    swizzle<T, 4, 0, 2> xz;
    swizzle<T, 4, 1, 3> yw;
    swizzle<T, 4, 0, 1, 2> xyz;
    swizzle<T, 4, 1, 2, 3> yzw;
    swizzle<T, 4, 0, 1, 2, 3> xyzw;
    swizzle<T, 4, 3, 2, 1, 0> wzyx;
  };
};

template <class T, int N>
struct vec : vector_storage<T, N> {
  using vector_storage<T, N>::v;
  typedef T element_type;

  vec() = default;
  vec(const vec &other) { memcpy((void *)v, (const void *)other.v, sizeof v); }
  vec &operator=(const vec &other) {
    memmove((void *)v, (const void *)other.v, sizeof v);
    return *this;
  }
  template <class S, class = if_scalar<S>>
  vec(S value) {
    for (int i = 0; i < N; i++) v[i] = (T)value;
  }
  template <class S>
  explicit vec(const vec<S, N> &other) {
    for (int i = 0; i < N; i++) v[i] = (T)other.v[i];
  }
  template <class S, int M, int... I, class = std::enable_if_t<sizeof...(I) == N>>
  vec(const swizzle<S, M, I...> &other) {
    *this = vec((vec<S, N>)other);
  }
  // From parts: scalars, vectors and swizzles, one after another.
  template <class A, class B, class... Rest>
  vec(const A &a, const B &b, const Rest &...rest) {
    int k = 0;
    put(k, a);
    put(k, b);
    (put(k, rest), ...);
  }

  T &operator[](size_t i) { return v[i]; }
  const T &operator[](size_t i) const { return v[i]; }

#define MSL_OPERATOR(op)                                     \
  friend vec operator op(const vec &a, const vec &b) {       \
    vec r;                                                   \
    for (int i = 0; i < N; i++) r.v[i] = (T)(a.v[i] op b.v[i]); \
    return r;                                                \
  }                                                          \
  vec &operator op##=(const vec & b) { return *this = *this op b; }
  MSL_OPERATOR(+)
  MSL_OPERATOR(-)
  MSL_OPERATOR(*)
  MSL_OPERATOR(/)
  MSL_OPERATOR(%)
  MSL_OPERATOR(&)
  MSL_OPERATOR(|)
  MSL_OPERATOR(^)
  MSL_OPERATOR(<<)
  MSL_OPERATOR(>>)
#undef MSL_OPERATOR

#define MSL_COMPARISON(op)                                    \
  friend vec<bool, N> operator op(const vec &a, const vec &b) { \
    vec<bool, N> r;                                           \
    for (int i = 0; i < N; i++) r.v[i] = a.v[i] op b.v[i];    \
    return r;                                                 \
  }
  MSL_COMPARISON(<)
  MSL_COMPARISON(>)
  MSL_COMPARISON(<=)
  MSL_COMPARISON(>=)
  MSL_COMPARISON(==)
  MSL_COMPARISON(!=)
  MSL_COMPARISON(&&)
  MSL_COMPARISON(||)
#undef MSL_COMPARISON

  friend vec operator-(const vec &a) {
    vec r;
    for (int i = 0; i < N; i++) r.v[i] = (T)-a.v[i];
    return r;
  }
  friend vec operator~(const vec &a) {
    vec r;
    for (int i = 0; i < N; i++) r.v[i] = (T)~a.v[i];
    return r;
  }
  friend vec<bool, N> operator!(const vec &a) {
    vec<bool, N> r;
    for (int i = 0; i < N; i++) r.v[i] = !a.v[i];
    return r;
  }

 private:
  template <class S>
  std::enable_if_t<is_scalar<S>::value> put(int &k, const S &part) {
    v[k++] = (T)part;
  }
  template <class S, int M>
  void put(int &k, const vec<S, M> &part) {
    for (int i = 0; i < M; i++) v[k++] = (T)part.v[i];
  }
  template <class S, int M, int... I>
  void put(int &k, const swizzle<S, M, I...> &part) {
    put(k, (vec<S, (int)sizeof...(I)>)part);
  }
};

template <class T>
struct is_vec : std::false_type {};
template <class T, int N>
struct is_vec<vec<T, N>> : std::true_type {};

// The same elements without padding or alignment.
template <class T, int N>
struct packed_storage;
template <class T>
struct packed_storage<T, 2> {
  union {
    T v[2];
    struct { T x, y; };
  };
};
template <class T>
struct packed_storage<T, 3> {
  union {
    T v[3];
    struct { T x, y, z; };
  };
};
template <class T>
struct packed_storage<T, 4> {
  union {
    T v[4];
    struct { T x, y, z, w; };
  };
};
template <class T, int N>
struct packed_vec : packed_storage<T, N> {
  using packed_storage<T, N>::v;
  packed_vec() = default;
  packed_vec(const vec<T, N> &other) {
    for (int i = 0; i < N; i++) v[i] = other[i];
  }
  operator vec<T, N>() const {
    vec<T, N> r;
    for (int i = 0; i < N; i++) r[i] = v[i];
    return r;
  }
  T &operator[](size_t i) { return v[i]; }
  const T &operator[](size_t i) const { return v[i]; }
};

#define MSL_VECTORS(T)                   \
  typedef vec<T, 2> T##2;                \
  typedef vec<T, 3> T##3;                \
  typedef vec<T, 4> T##4;                \
  typedef packed_vec<T, 2> packed_##T##2; \
  typedef packed_vec<T, 3> packed_##T##3; \
  typedef packed_vec<T, 4> packed_##T##4;
MSL_VECTORS(float)
MSL_VECTORS(half)
MSL_VECTORS(bfloat)
MSL_VECTORS(int)
MSL_VECTORS(uint)
MSL_VECTORS(short)
MSL_VECTORS(ushort)
MSL_VECTORS(char)
MSL_VECTORS(uchar)
MSL_VECTORS(long)
MSL_VECTORS(ulong)
MSL_VECTORS(bool)
#undef MSL_VECTORS

}  // namespace metal
