// The kernels of a library by name, and the one function that the host calls.
#pragma once

namespace msl {

struct Registration {
  const char *name;
  void (*kernel)();
  Registration *next;
  static inline Registration *first = nullptr;
  Registration(const char *name, void (*kernel)()) : name(name), kernel(kernel), next(first) { first = this; }
};

}  // namespace msl

// 0 when the kernel ran or failed with a message, -1 when there is no such kernel.
extern "C" __attribute__((visibility("default"), weak)) int msl_dispatch(const char *name,
                                                                        msl::Dispatch *dispatch) {
  for (msl::Registration *found = msl::Registration::first; found; found = found->next)
    if (!strcmp(found->name, name)) {
      msl::run(dispatch, found->kernel);
      return 0;
    }
  return -1;
}
