// Threads of a threadgroup as fibers: each has a stack, and yields where it must wait for others.
#pragma once

namespace msl {

enum class State : uint8_t { READY, AT_SIMDGROUP, AT_BARRIER, DONE };

// A place in the Metal source. The translator keeps line numbers, so `line` is the source's own.
struct Site {
  uint32_t line, column;
  bool operator==(const Site &other) const { return line == other.line && column == other.column; }
};

#define MSL_HERE ::msl::Site site = ::msl::Site{__builtin_LINE(), __builtin_COLUMN()}

struct Simdgroup;

struct Fiber {
  void *stack;
  State state;
  uint8_t lane, parity;
  uint32_t index;
  Site site;
  Simdgroup *simdgroup;
};

struct alignas(64) Simdgroup {
  // What lanes show each other, twice: a lane may write the next value while others read the last.
  alignas(16) unsigned char exchange[2][SIMD_WIDTH][64];
  alignas(16) unsigned char reduced[64];
  bool is_reduced;
  unsigned index, num_lanes;
  Fiber *lanes;
  uint32_t active() const { return num_lanes == SIMD_WIDTH ? ~0u : (1u << num_lanes) - 1; }
};

extern "C" void msl_switch(void **save, void *to);

#if defined(__x86_64__)
asm(R"(
.text
.weak msl_switch
.hidden msl_switch
.type msl_switch,@function
msl_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
)");
constexpr unsigned NUM_SAVED_REGISTERS = 6;
#else
#error "the Metal emulator has a context switch for x86-64 only"
#endif

inline void yield_to_scheduler() { msl_switch(&context.current->stack, context.scheduler_stack); }

// Ends the dispatch with a message; the fibers are abandoned where they are.
template <class... Arguments>
[[noreturn]] __attribute__((noinline, cold)) void fail(const char *format, Arguments... arguments) {
  snprintf(context.dispatch->fault, sizeof context.dispatch->fault, format, arguments...);
  yield_to_scheduler();
  __builtin_unreachable();
}

__attribute__((noinline)) inline void wait(State state, Site site) {
  Fiber *fiber = context.current;
  fiber->site = site;
  fiber->state = state;
  yield_to_scheduler();
}

[[noreturn]] inline void fiber_main() {
  context.kernel();
  context.current->state = State::DONE;
  yield_to_scheduler();
  __builtin_unreachable();
}

inline void start(Fiber &fiber, unsigned index, Simdgroup *simdgroup) {
  const Dispatch *dispatch = context.dispatch;
  void **top = (void **)(dispatch->memory.stacks + (index + 1) * dispatch->memory.stack_stride);
  *--top = nullptr;
  *--top = (void *)fiber_main;
  for (unsigned k = 0; k < NUM_SAVED_REGISTERS; k++) *--top = nullptr;
  fiber = Fiber{top, State::READY, (uint8_t)(index % SIMD_WIDTH), 0, index, Site{0, 0}, simdgroup};
}

}  // namespace msl
