// Atomics. Fibers of one thread never interrupt each other, so plain operations are atomic.
#pragma once

namespace metal {

template <class T>
struct atomic {
  T value;
};
typedef atomic<int> atomic_int;
typedef atomic<uint> atomic_uint;
typedef atomic<float> atomic_float;
typedef atomic<bool> atomic_bool;
typedef atomic<ulong> atomic_ulong;

template <class T>
inline T atomic_load_explicit(const volatile atomic<T> *object, memory_order) {
  return object->value;
}
template <class T, class U>
inline void atomic_store_explicit(volatile atomic<T> *object, U desired, memory_order) {
  object->value = (T)desired;
}
template <class T, class U>
inline T atomic_exchange_explicit(volatile atomic<T> *object, U desired, memory_order) {
  T old = object->value;
  object->value = (T)desired;
  return old;
}
template <class T, class U>
inline bool atomic_compare_exchange_weak_explicit(volatile atomic<T> *object, T *expected, U desired,
                                                  memory_order, memory_order) {
  if (object->value == *expected) {
    object->value = (T)desired;
    return true;
  }
  *expected = object->value;
  return false;
}

#define MSL_FETCH(name, expression)                                                                \
  template <class T, class U>                                                                      \
  inline T atomic_fetch_##name##_explicit(volatile atomic<T> *object, U operand, memory_order) {   \
    T a = object->value, b = (T)operand;                                                           \
    object->value = (T)(expression);                                                               \
    return a;                                                                                      \
  }
MSL_FETCH(add, a + b)
MSL_FETCH(sub, a - b)
MSL_FETCH(min, a < b ? a : b)
MSL_FETCH(max, a > b ? a : b)
MSL_FETCH(and, a &b)
MSL_FETCH(or, a | b)
MSL_FETCH(xor, a ^ b)
#undef MSL_FETCH

}  // namespace metal
