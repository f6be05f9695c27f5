// Runs the threads of each threadgroup until they wait, and lets them go on when all have arrived.
//
// Which thread, which simdgroup and which threadgroup comes next follows from the seed. Threads that wait
// at different places, or for one that has returned, are a fault.
#pragma once

namespace msl {

inline Fiber fibers[MAX_THREADS];
inline Simdgroup simdgroups[MAX_THREADS / SIMD_WIDTH];

inline uint64_t next_random(uint64_t &state) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

// Visits 0..n in an order that the seed chooses: from a random start, forwards or backwards.
struct Order {
  unsigned n, start;
  bool is_reversed;
  Order(unsigned n, uint64_t &seed) : n(n), start(0), is_reversed(false) {
    if (seed == 0) return;
    start = next_random(seed) % n;
    is_reversed = next_random(seed) >> 32 & 1;
  }
  unsigned operator[](unsigned i) const { return ((is_reversed ? n - 1 - i : i) + start) % n; }
};

inline bool has_failed() { return context.dispatch->fault[0] != 0; }

inline void describe(const Fiber &fiber, char *text, size_t length) {
  switch (fiber.state) {
    case State::AT_SIMDGROUP:
      snprintf(text, length, "is at the simdgroup function in line %u", fiber.site.line);
      break;
    case State::AT_BARRIER:
      snprintf(text, length, "is at the threadgroup barrier in line %u", fiber.site.line);
      break;
    default:
      snprintf(text, length, "has returned");
  }
}

inline void fail_divergence(const char *what, const Fiber &a, const Fiber &b) {
  char a_text[96], b_text[96];
  describe(a, a_text, sizeof a_text);
  describe(b, b_text, sizeof b_text);
  Dispatch *dispatch = context.dispatch;
  snprintf(dispatch->fault, sizeof dispatch->fault, "%s: thread %u %s, thread %u %s", what, a.index, a_text,
           b.index, b_text);
}

// Lets the lanes go on that have met at one simdgroup function. False when none of them waits for that.
inline bool release_simdgroup(Simdgroup &simdgroup) {
  const Fiber *waiting = nullptr, *other = nullptr;
  for (unsigned lane = 0; lane < simdgroup.num_lanes; lane++) {
    const Fiber &fiber = simdgroup.lanes[lane];
    if (fiber.state == State::AT_SIMDGROUP && !waiting) waiting = &fiber;
  }
  if (!waiting) return false;
  for (unsigned lane = 0; lane < simdgroup.num_lanes; lane++) {
    const Fiber &fiber = simdgroup.lanes[lane];
    if (fiber.state != State::AT_SIMDGROUP || !(fiber.site == waiting->site)) other = &fiber;
  }
  if (other) {
    fail_divergence("a simdgroup function is reached by some lanes only", *waiting, *other);
    return false;
  }
  for (unsigned lane = 0; lane < simdgroup.num_lanes; lane++) simdgroup.lanes[lane].state = State::READY;
  simdgroup.is_reduced = false;
  return true;
}

// Lets all threads go on that have met at one barrier. False when they are done.
inline bool release_barrier(unsigned num_threads) {
  const Fiber *waiting = nullptr, *other = nullptr;
  for (unsigned i = 0; i < num_threads && !waiting; i++)
    if (fibers[i].state == State::AT_BARRIER) waiting = &fibers[i];
  if (!waiting) return false;
  for (unsigned i = 0; i < num_threads && !other; i++)
    if (fibers[i].state != State::AT_BARRIER || !(fibers[i].site == waiting->site)) other = &fibers[i];
  if (other) {
    fail_divergence("a threadgroup barrier is not reached by every thread", *waiting, *other);
    return false;
  }
  for (unsigned i = 0; i < num_threads; i++) fibers[i].state = State::READY;
  return true;
}

inline void run_lanes(Simdgroup &simdgroup, uint64_t &seed) {
  do {
    Order order(simdgroup.num_lanes, seed);
    for (unsigned i = 0; i < simdgroup.num_lanes; i++) {
      Fiber &fiber = simdgroup.lanes[order[i]];
      if (fiber.state != State::READY) continue;
      context.current = &fiber;
      context.dispatch->progress.thread = fiber.index;
      msl_switch(&context.scheduler_stack, fiber.stack);
      if (has_failed()) return;
    }
  } while (release_simdgroup(simdgroup));
}

inline void run_group(unsigned num_threads, uint64_t &seed) {
  unsigned num_simdgroups = (num_threads + SIMD_WIDTH - 1) / SIMD_WIDTH;
  for (unsigned s = 0; s < num_simdgroups; s++) {
    Simdgroup &simdgroup = simdgroups[s];
    unsigned first = s * SIMD_WIDTH, left = num_threads - first;
    simdgroup.index = s;
    simdgroup.lanes = &fibers[first];
    simdgroup.num_lanes = left < SIMD_WIDTH ? left : SIMD_WIDTH;
    simdgroup.is_reduced = false;
    for (unsigned lane = 0; lane < simdgroup.num_lanes; lane++)
      start(fibers[first + lane], first + lane, &simdgroup);
  }
  do {
    Order order(num_simdgroups, seed);
    for (unsigned s = 0; s < num_simdgroups; s++) {
      run_lanes(simdgroups[order[s]], seed);
      if (has_failed()) return;
    }
  } while (release_barrier(num_threads));
}

// Threadgroup memory ends where its slot ends, so that one byte too far is a page that must not be touched.
inline unsigned char *take_slot(uint64_t num_bytes) {
  Dispatch *dispatch = context.dispatch;
  uint64_t rounded = (num_bytes + 15) / 16 * 16;
  context.threadgroup_bytes_used += rounded;
  if (context.threadgroup_bytes_used > dispatch->memory.slot_bytes || context.num_slots_used >= dispatch->memory.num_slots)
    return nullptr;
  unsigned char *slot = dispatch->memory.slots + context.num_slots_used++ * dispatch->memory.slot_stride;
  unsigned char *memory = slot + dispatch->memory.slot_bytes - rounded;
  memset(memory, POISON, rounded);
  return memory;
}

inline void begin_group(const uint32_t group[3]) {
  Dispatch *dispatch = context.dispatch;
  for (int k = 0; k < 3; k++) {
    dispatch->progress.group[k] = group[k];
    uint32_t left = dispatch->grid.threads[k] - group[k] * dispatch->grid.threads_per_group[k];
    context.group_size[k] = left < dispatch->grid.threads_per_group[k] ? left : dispatch->grid.threads_per_group[k];
  }
  context.epoch++;
  context.num_slots_used = 0;
  context.threadgroup_bytes_used = 0;
  for (unsigned i = 0; i < NUM_ARGUMENTS; i++) {
    uint64_t num_bytes = dispatch->arguments.threadgroup_bytes[i];
    // The host has checked the sum of these.
    context.threadgroup_memory[i] = num_bytes ? take_slot(num_bytes) : nullptr;
  }
}

// Runs every threadgroup, in an order that the seed chooses.
inline void run(Dispatch *dispatch, void (*kernel)()) {
  context.dispatch = dispatch;
  context.kernel = kernel;
  uint64_t seed = dispatch->seed;
  const uint32_t *groups = dispatch->grid.groups;
  uint32_t num_groups = groups[0] * groups[1] * groups[2];
  if (num_groups == 0) return;
  Order order(num_groups, seed);
  for (uint32_t i = 0; i < num_groups; i++) {
    uint32_t index = order[i];
    uint32_t group[3] = {index % groups[0], index / groups[0] % groups[1], index / (groups[0] * groups[1])};
    begin_group(group);
    run_group(context.group_size[0] * context.group_size[1] * context.group_size[2], seed);
    if (has_failed()) return;
  }
}

}  // namespace msl
