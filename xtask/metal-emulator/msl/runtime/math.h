// Mathematical functions. Floating-point types are computed in float and rounded to the type; vectors
// element by element. `fast` and `precise` are the same functions: no rounding of Apple's is modelled.
#pragma once

namespace metal {

template <class T>
using if_float = std::enable_if_t<is_floating_point<T>::value, T>;
template <class A, class B>
using if_mixed_scalars =
    std::enable_if_t<is_scalar<A>::value && is_scalar<B>::value && !std::is_same<A, B>::value>;

#define MSL_UNARY(name, expression)                                        \
  template <class T>                                                       \
  inline if_float<T> name(T given) {                                       \
    float x = (float)given;                                                \
    return (T)(expression);                                                \
  }                                                                        \
  template <class T, int N>                                                \
  inline vec<T, N> name(const vec<T, N> &given) {                          \
    vec<T, N> r;                                                           \
    for (int i = 0; i < N; i++) r[i] = name(given[i]);                     \
    return r;                                                              \
  }                                                                        \
  template <class T>                                                       \
  inline std::enable_if_t<std::is_integral<T>::value, float> name(T given) { \
    float x = (float)given;                                                \
    return (float)(expression);                                            \
  }
#define MSL_BINARY(name, expression)                            \
  template <class A, class B, class = if_mixed_scalars<A, B>>   \
  inline float name(A a, B b) {                                 \
    float x = (float)a, y = (float)b;                           \
    return (expression);                                        \
  }                                                             \
  template <class T>                                            \
  inline if_float<T> name(T a, T b) {                           \
    float x = (float)a, y = (float)b;                           \
    return (T)(expression);                                     \
  }                                                             \
  template <class T, int N>                                     \
  inline vec<T, N> name(const vec<T, N> &a, const vec<T, N> &b) { \
    vec<T, N> r;                                                \
    for (int i = 0; i < N; i++) r[i] = name(a[i], b[i]);        \
    return r;                                                   \
  }
#define MSL_MATH                                                \
  MSL_UNARY(exp, __builtin_expf(x))                             \
  MSL_UNARY(exp2, __builtin_exp2f(x))                           \
  MSL_UNARY(exp10, __builtin_powf(10.f, x))                     \
  MSL_UNARY(log, __builtin_logf(x))                             \
  MSL_UNARY(log2, __builtin_log2f(x))                           \
  MSL_UNARY(log10, __builtin_log10f(x))                         \
  MSL_UNARY(sin, __builtin_sinf(x))                             \
  MSL_UNARY(cos, __builtin_cosf(x))                             \
  MSL_UNARY(tan, __builtin_tanf(x))                             \
  MSL_UNARY(sinh, __builtin_sinhf(x))                           \
  MSL_UNARY(cosh, __builtin_coshf(x))                           \
  MSL_UNARY(tanh, __builtin_tanhf(x))                           \
  MSL_UNARY(asin, __builtin_asinf(x))                           \
  MSL_UNARY(acos, __builtin_acosf(x))                           \
  MSL_UNARY(atan, __builtin_atanf(x))                           \
  MSL_UNARY(asinh, __builtin_asinhf(x))                         \
  MSL_UNARY(acosh, __builtin_acoshf(x))                         \
  MSL_UNARY(atanh, __builtin_atanhf(x))                         \
  MSL_UNARY(sqrt, __builtin_sqrtf(x))                           \
  MSL_UNARY(rsqrt, 1.f / __builtin_sqrtf(x))                    \
  MSL_UNARY(floor, __builtin_floorf(x))                         \
  MSL_UNARY(ceil, __builtin_ceilf(x))                           \
  MSL_UNARY(rint, __builtin_rintf(x))                           \
  MSL_UNARY(round, __builtin_roundf(x))                         \
  MSL_UNARY(trunc, __builtin_truncf(x))                         \
  MSL_UNARY(fract, x - __builtin_floorf(x))                     \
  MSL_UNARY(fabs, __builtin_fabsf(x))                           \
  MSL_UNARY(saturate, x < 0 ? 0.f : x > 1 ? 1.f : x)            \
  MSL_UNARY(sign, x > 0 ? 1.f : x < 0 ? -1.f : 0.f)             \
  MSL_BINARY(pow, __builtin_powf(x, y))                         \
  MSL_BINARY(powr, __builtin_powf(x, y))                        \
  MSL_BINARY(fmod, __builtin_fmodf(x, y))                       \
  MSL_BINARY(atan2, __builtin_atan2f(x, y))                     \
  MSL_BINARY(fmin, __builtin_fminf(x, y))                       \
  MSL_BINARY(fmax, __builtin_fmaxf(x, y))                       \
  MSL_BINARY(copysign, __builtin_copysignf(x, y))               \
  MSL_BINARY(divide, x / y)                                     \
  MSL_BINARY(step, y < x ? 0.f : 1.f)                           \
  MSL_BINARY(fdim, x > y ? x - y : 0.f)
MSL_MATH

template <class T>
inline if_float<T> fma(T a, T b, T c) {
  return (T)__builtin_fmaf((float)a, (float)b, (float)c);
}
template <class T, int N>
inline vec<T, N> fma(const vec<T, N> &a, const vec<T, N> &b, const vec<T, N> &c) {
  vec<T, N> r;
  for (int i = 0; i < N; i++) r[i] = fma(a[i], b[i], c[i]);
  return r;
}

#define MSL_EXTREMUM(name, condition)                                                              \
  template <class T>                                                                               \
  inline std::enable_if_t<is_scalar<T>::value, T> name(T a, T b) {                                 \
    return condition ? b : a;                                                                      \
  }                                                                                                \
  template <class T>                                                                               \
  inline std::enable_if_t<is_scalar<T>::value, T> name(T a, T b, T c) {                            \
    return name(name(a, b), c);                                                                    \
  }                                                                                                \
  template <class A, class B,                                                                      \
            class = std::enable_if_t<std::is_arithmetic<A>::value && std::is_arithmetic<B>::value && \
                                     !std::is_same<A, B>::value>>                                  \
  inline std::common_type_t<A, B> name(A a, B b) {                                                 \
    typedef std::common_type_t<A, B> T;                                                            \
    return name<T>((T)a, (T)b);                                                                    \
  }                                                                                                \
  template <class T, int N>                                                                        \
  inline vec<T, N> name(const vec<T, N> &a, const vec<T, N> &b) {                                  \
    vec<T, N> r;                                                                                   \
    for (int i = 0; i < N; i++) r[i] = name(a[i], b[i]);                                           \
    return r;                                                                                      \
  }
MSL_EXTREMUM(min, b < a)
MSL_EXTREMUM(max, a < b)
#undef MSL_EXTREMUM

template <class T>
inline auto clamp(T x, T low, T high) {
  return min(max(x, low), high);
}
template <class T, class U, class V,
          class = std::enable_if_t<std::is_arithmetic<T>::value && !(is_same_v<T, U> && is_same_v<T, V>)>>
inline T clamp(T x, U low, V high) {
  return min(max(x, (T)low), (T)high);
}

template <class T>
inline std::enable_if_t<is_scalar<T>::value, T> abs(T a) {
  if constexpr (is_floating_point<T>::value) return (T)__builtin_fabsf((float)a);
  else if constexpr (std::is_unsigned<T>::value) return a;
  else return a < 0 ? -a : a;
}
template <class T, int N>
inline vec<T, N> abs(const vec<T, N> &a) {
  vec<T, N> r;
  for (int i = 0; i < N; i++) r[i] = abs(a[i]);
  return r;
}

template <class T>
inline T select(T a, T b, bool condition) {
  return condition ? b : a;
}
template <class T, int N>
inline vec<T, N> select(const vec<T, N> &a, const vec<T, N> &b, const vec<bool, N> &condition) {
  vec<T, N> r;
  for (int i = 0; i < N; i++) r[i] = condition[i] ? b[i] : a[i];
  return r;
}
template <class T>
inline T mix(T a, T b, T t) {
  return a + (b - a) * t;
}
template <class T, int N>
inline T dot(const vec<T, N> &a, const vec<T, N> &b) {
  T sum = 0;
  for (int i = 0; i < N; i++) sum = sum + a[i] * b[i];
  return sum;
}
template <class T, int N>
inline T length(const vec<T, N> &a) {
  return sqrt(dot(a, a));
}
template <int N>
inline bool any(const vec<bool, N> &a) {
  for (int i = 0; i < N; i++)
    if (a[i]) return true;
  return false;
}
template <int N>
inline bool all(const vec<bool, N> &a) {
  for (int i = 0; i < N; i++)
    if (!a[i]) return false;
  return true;
}
inline bool any(bool a) { return a; }
inline bool all(bool a) { return a; }

template <class T>
inline bool isnan(T x) {
  return __builtin_isnan((float)x);
}
template <class T>
inline bool isinf(T x) {
  return __builtin_isinf((float)x);
}
template <class T>
inline bool isfinite(T x) {
  return __builtin_isfinite((float)x);
}
template <class T>
inline bool signbit(T x) {
  return __builtin_signbit((float)x);
}

template <class T>
inline T popcount(T x) {
  return (T)__builtin_popcountll((uint64_t)(std::make_unsigned_t<T>)x);
}
template <class T>
inline T clz(T x) {
  constexpr int unused = 64 - 8 * (int)sizeof(T);
  return x ? (T)(__builtin_clzll((uint64_t)(std::make_unsigned_t<T>)x) - unused) : (T)(8 * sizeof(T));
}
template <class T>
inline T ctz(T x) {
  return x ? (T)__builtin_ctzll((uint64_t)x) : (T)(8 * sizeof(T));
}
template <class T>
inline T mulhi(T a, T b) {
  constexpr unsigned bits = 8 * sizeof(T);
  if constexpr (std::is_unsigned<T>::value) return (T)(((unsigned __int128)a * b) >> bits);
  else return (T)(((__int128)a * b) >> bits);
}
template <class T>
inline T rotate(T x, T n) {
  constexpr int bits = 8 * sizeof(T);
  n &= bits - 1;
  return n ? (T)((x << n) | ((std::make_unsigned_t<T>)x >> (bits - n))) : x;
}
template <class T>
inline T extract_bits(T x, uint offset, uint bits) {
  return (x >> offset) & (((T)1 << bits) - 1);
}

template <class T>
inline T ldexp(T x, int exponent) {
  return (T)__builtin_ldexpf((float)x, exponent);
}
template <class T>
inline T frexp(T x, int &exponent) {
  return (T)__builtin_frexpf((float)x, &exponent);
}
template <class T>
inline T sincos(T x, T &cosine) {
  cosine = cos(x);
  return sin(x);
}
template <class T>
inline T modf(T x, T &whole) {
  whole = trunc(x);
  return x - whole;
}

#undef MSL_UNARY
#undef MSL_BINARY
#define MSL_UNARY(name, expression) using metal::name;
#define MSL_BINARY(name, expression) using metal::name;
namespace fast {
MSL_MATH
using metal::abs;
using metal::clamp;
using metal::dot;
using metal::fma;
using metal::max;
using metal::min;
using metal::mix;
using metal::sincos;
}  // namespace fast
namespace precise {
MSL_MATH
using metal::abs;
using metal::clamp;
using metal::fma;
using metal::max;
using metal::min;
using metal::sincos;
}  // namespace precise
#undef MSL_UNARY
#undef MSL_BINARY
#undef MSL_MATH

}  // namespace metal
