// Where a kernel's parameters come from. The translator makes each of these the default value of its
// parameter, and a kernel is called without arguments.
#pragma once

namespace msl {

using metal::vec;

// A function constant: its value is looked up when it is used.
inline bool find_constant(unsigned index, uint64_t &value) {
  const Dispatch *dispatch = context.dispatch;
  if (!dispatch) return false;
  for (uint64_t k = 0; k < dispatch->constants.count; k++)
    if (dispatch->constants.indices[k] == index) {
      value = dispatch->constants.values[k];
      return true;
    }
  return false;
}
template <class T, unsigned INDEX>
struct function_constant {
  operator T() const {
    uint64_t bits = 0;
    find_constant(INDEX, bits);
    T value;
    memcpy(&value, &bits, sizeof value);
    return value;
  }
};

// An argument of `[[buffer(index)]]`. One that a function constant switches off need not be bound.
struct Buffer {
  unsigned index;
  const char *name;
  bool is_wanted;
  Buffer(unsigned index, const char *name, bool is_wanted = true)
      : index(index), name(name), is_wanted(is_wanted) {}
  template <class T>
  operator T *() const {
    return (T *)address();
  }
  template <class T, class = std::enable_if_t<!std::is_pointer<T>::value>>
  operator T &() const {
    void *bound = context.dispatch->arguments.buffers[index];
    // Candle leaves some unbound that a condition guards, and the compiler reads in front of the condition.
    if (!bound) return *(T *)context.dispatch->memory.nothing;
    uint64_t num_bytes = context.dispatch->arguments.buffer_bytes[index];
    if (sizeof(T) > num_bytes)
      fail("buffer(%u), `%s`: the kernel's type has %u bytes, %u are bound", index, name, (unsigned)sizeof(T),
           (unsigned)num_bytes);
    return *(T *)bound;
  }
  void *address() const {
    void *bound = context.dispatch->arguments.buffers[index];
    if (bound) return bound;
    const Memory &memory = context.dispatch->memory;
    // A pointer that is never used need not be bound. Where a function constant switches one off, the
    // compiler may have moved a read in front of the condition, so there is something to read.
    return is_wanted ? memory.unbound + index * memory.unbound_stride : memory.nothing;
  }
};

// An argument of `[[threadgroup(index)]]`.
struct ThreadgroupMemory {
  unsigned index;
  const char *name;
  ThreadgroupMemory(unsigned index, const char *name) : index(index), name(name) {}
  template <class T>
  operator T *() const {
    unsigned char *memory = context.threadgroup_memory[index];
    if (!memory) fail("threadgroup(%u), `%s`, has no length", index, name);
    return (T *)memory;
  }
  template <class T, class = std::enable_if_t<!std::is_pointer<T>::value>>
  operator T &() const {
    return *(T *)*this;
  }
};

// A variable in threadgroup memory. `Key` is a type of its own for each variable.
template <class T, class Key>
inline T &threadgroup_variable(Key) {
  static uint64_t epoch = 0;
  static unsigned char *memory = nullptr;
  if (epoch != context.epoch) {
    epoch = context.epoch;
    memory = take_slot(sizeof(T));
    if (!memory) fail("more than %u bytes of threadgroup memory", (unsigned)context.dispatch->memory.slot_bytes);
  }
  return *(T *)memory;
}

// A position or a size, as any of the types in which a kernel may take it.
struct Coordinates {
  uint32_t v[3];
  operator uint() const { return v[0]; }
  operator ushort() const { return (ushort)v[0]; }
  operator int() const { return v[0]; }
  operator ulong() const { return v[0]; }
  operator vec<uint, 2>() const { return vec<uint, 2>(v[0], v[1]); }
  operator vec<uint, 3>() const { return vec<uint, 3>(v[0], v[1], v[2]); }
  operator vec<ushort, 2>() const { return vec<ushort, 2>(v[0], v[1]); }
  operator vec<ushort, 3>() const { return vec<ushort, 3>(v[0], v[1], v[2]); }
};
inline Coordinates scalar(uint32_t x) { return {{x, 0, 0}}; }
inline Coordinates triple(const uint32_t *x) { return {{x[0], x[1], x[2]}}; }

inline Coordinates thread_position_in_threadgroup() {
  const uint32_t *size = context.group_size;
  uint32_t index = context.current->index;
  return {{index % size[0], index / size[0] % size[1], index / (size[0] * size[1])}};
}
inline Coordinates threadgroup_position_in_grid() { return triple(context.dispatch->progress.group); }
inline Coordinates thread_position_in_grid() {
  Coordinates position = thread_position_in_threadgroup();
  const Dispatch *dispatch = context.dispatch;
  for (int k = 0; k < 3; k++) position.v[k] += dispatch->progress.group[k] * dispatch->grid.threads_per_group[k];
  return position;
}
inline Coordinates threads_per_threadgroup() { return triple(context.group_size); }
inline Coordinates dispatch_threads_per_threadgroup() { return triple(context.dispatch->grid.threads_per_group); }
inline Coordinates threadgroups_per_grid() { return triple(context.dispatch->grid.groups); }
inline Coordinates threads_per_grid() { return triple(context.dispatch->grid.threads); }
inline Coordinates grid_size() { return threads_per_grid(); }
inline Coordinates thread_index_in_threadgroup() { return scalar(context.current->index); }
inline Coordinates thread_index_in_simdgroup() { return scalar(context.current->lane); }
inline Coordinates simdgroup_index_in_threadgroup() { return scalar(context.current->simdgroup->index); }
inline Coordinates threads_per_simdgroup() { return scalar(SIMD_WIDTH); }
inline Coordinates simdgroups_per_threadgroup() {
  const uint32_t *size = context.group_size;
  return scalar((size[0] * size[1] * size[2] + SIMD_WIDTH - 1) / SIMD_WIDTH);
}
inline Coordinates thread_index_in_quadgroup() { return scalar(context.current->lane & 3); }
inline Coordinates quadgroup_index_in_threadgroup() { return scalar(context.current->index / 4); }

}  // namespace msl

namespace metal {
template <class T, unsigned INDEX>
inline bool is_function_constant_defined(const msl::function_constant<T, INDEX> &) {
  uint64_t bits;
  return msl::find_constant(INDEX, bits);
}
}  // namespace metal
