// What the host hands over for one dispatch. `src/dispatch.rs` has the same fields in the same order.
#pragma once

namespace msl {

constexpr unsigned NUM_ARGUMENTS = 31;
constexpr unsigned SIMD_WIDTH = 32;
constexpr unsigned MAX_THREADS = 1024;
constexpr unsigned POISON = 0xFF;  // Bytes of it are NaN in every floating-point type.

struct Arguments {
  // Where each argument begins, and how many bytes are bound from there.
  void *buffers[NUM_ARGUMENTS];
  uint64_t buffer_bytes[NUM_ARGUMENTS];
  // Threadgroup memory of the length that the encoder set.
  uint64_t threadgroup_bytes[NUM_ARGUMENTS];
};

struct Grid {
  uint32_t groups[3], threads_per_group[3], threads[3];
};

struct Constants {
  const uint32_t *indices;
  const uint64_t *values;
  uint64_t count;
};

struct Memory {
  // One stack per thread, each above a page that must not be touched.
  unsigned char *stacks;
  uint64_t stack_stride;
  // Slots of threadgroup memory, each between pages that must not be touched.
  unsigned char *slots;
  uint64_t slot_stride, slot_bytes, num_slots;
  // Poison that can be read, for constants that are not bound, and arguments that are switched off.
  unsigned char *nothing;
  // Stretches that must not be touched, one for each argument that is not bound.
  unsigned char *unbound;
  uint64_t unbound_stride;
};

// Where execution stands; the host reads it after a crash.
struct Progress {
  uint32_t group[3], thread;
};

struct Dispatch {
  Arguments arguments;
  Grid grid;
  Constants constants;
  Memory memory;
  // 0: natural order.
  uint64_t seed;
  Progress progress;
  // What went wrong, empty if nothing did.
  char fault[512];
};

struct Fiber;

struct Context {
  Dispatch *dispatch;
  void (*kernel)();
  Fiber *current;
  void *scheduler_stack;
  uint32_t group_size[3];
  // Counts threadgroups, so that threadgroup variables know that they are stale.
  uint64_t epoch;
  unsigned num_slots_used;
  uint64_t threadgroup_bytes_used;
  unsigned char *threadgroup_memory[NUM_ARGUMENTS];
};

inline Context context;

}  // namespace msl
