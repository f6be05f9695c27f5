// What <metal_type_traits> and <metal_limits> offer, and conversions between types.
#pragma once

namespace metal {

using std::bool_constant;
using std::conditional;
using std::conditional_t;
using std::decay_t;
using std::declval;
using std::enable_if;
using std::enable_if_t;
using std::false_type;
using std::integral_constant;
using std::is_convertible;
using std::is_convertible_v;
using std::is_integral;
using std::is_integral_v;
using std::is_same;
using std::is_same_v;
using std::is_signed;
using std::is_unsigned;
using std::make_unsigned_t;
using std::remove_const_t;
using std::remove_cv_t;
using std::remove_reference_t;
using std::true_type;
using std::void_t;

template <class T>
struct is_floating_point
    : std::bool_constant<std::is_floating_point<T>::value || is_same_v<T, half> || is_same_v<T, bfloat>> {};
template <class T>
constexpr bool is_floating_point_v = is_floating_point<T>::value;
template <class T>
struct is_arithmetic : is_scalar<T> {};
template <class T>
constexpr bool is_arithmetic_v = is_scalar<T>::value;

template <class T>
struct make_scalar {
  typedef T type;
};
template <class T, int N>
struct make_scalar<vec<T, N>> {
  typedef T type;
};
template <class T>
using make_scalar_t = typename make_scalar<T>::type;

template <class T>
struct vec_elements : std::integral_constant<int, is_scalar<T>::value ? 1 : 0> {};
template <class T, int N>
struct vec_elements<vec<T, N>> : std::integral_constant<int, N> {};

// Sources specialise this template for types of their own.
template <class T>
struct _numeric_limits_impl {
  static constexpr bool is_int = std::is_integral<T>::value, has_infinity = !is_int;
  static constexpr bool is_half = is_same_v<T, half>, is_bfloat = is_same_v<T, bfloat>;
  static constexpr T max() {
    if constexpr (is_same_v<T, bool>) return true;
    else if constexpr (std::is_unsigned<T>::value) return (T) ~(T)0;
    else if constexpr (is_int) return (T)(((uint64_t)1 << (sizeof(T) * 8 - 1)) - 1);
    else if constexpr (is_half) return (T)65504.f;
    else if constexpr (is_bfloat) return T(3.38953139e38f);
    else return __FLT_MAX__;
  }
  static constexpr T lowest() {
    if constexpr (is_same_v<T, bool> || std::is_unsigned<T>::value) return (T)0;
    else if constexpr (is_int) return (T)(-max() - 1);
    else return (T) - (float)max();
  }
  static constexpr T min() {
    if constexpr (is_int) return lowest();
    else if constexpr (is_half) return (T)6.103515625e-05f;
    else return (T)__FLT_MIN__;
  }
  static constexpr T epsilon() {
    if constexpr (is_half) return (T)0.0009765625f;
    else if constexpr (is_bfloat) return T(0.0078125f);
    else return (T)__FLT_EPSILON__;
  }
  static constexpr T infinity() { return (T)__builtin_inff(); }
  static constexpr T quiet_NaN() { return (T)__builtin_nanf(""); }
  static constexpr int digits = is_half     ? 11
                                : is_bfloat ? 8
                                : is_int    ? (int)sizeof(T) * 8 - std::is_signed<T>::value
                                            : 24;
};
template <class T>
struct numeric_limits : _numeric_limits_impl<T> {};

// `static_cast`, which in C++ does not convert between the two half types.
template <class T, class S>
MSL_INLINE constexpr decltype(auto) cast_(S &&value) {
  typedef std::decay_t<S> D;
  constexpr bool is_half_to_half =
      (is_same_v<T, half> && is_same_v<D, bfloat>) || (is_same_v<T, bfloat> && is_same_v<D, half>);
  if constexpr (is_half_to_half) return (T)(float)value;
  else return static_cast<T>(static_cast<S &&>(value));
}

template <class T, class S>
inline T as_type(const S &value) {
  static_assert(sizeof(T) == sizeof(S), "as_type needs two types of one size");
  T result;
  memcpy((void *)&result, (const void *)&value, sizeof result);
  return result;
}

}  // namespace metal
