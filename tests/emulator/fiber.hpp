// A call stack that runs until it gives control back: one for each CUDA thread of a block.
#pragma once

#include <cstddef>

#if !defined(__x86_64__) && !defined(__aarch64__)
#include <ucontext.h>
#endif

namespace simt {

#if defined(__x86_64__) || defined(__aarch64__)
struct Context {
  void* stack_pointer = nullptr;
};
#else
struct Context {
  ucontext_t registers;
};
#endif

// `entry` must never return.
void prepare(Context& fiber, char* stack, size_t bytes, void (*entry)());
void switch_context(Context& from, Context& to);

}   // namespace simt
