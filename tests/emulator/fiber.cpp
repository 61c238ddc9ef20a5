#include "fiber.hpp"

#include <cstdint>
#include <cstring>

#if defined(__x86_64__) || defined(__aarch64__)
// What the calling convention says a callee keeps goes to the old stack and comes back from the new one.
extern "C" void simt_switch(void** save, void* load);
#endif

#if defined(__x86_64__)
asm(R"(
.text
.type simt_switch, @function
simt_switch:
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
.size simt_switch, .-simt_switch
)");
namespace {
constexpr int kReturnAddress = 6, kFrame = 8;   // words; at entry rsp is 8 off a multiple of 16
}
#elif defined(__aarch64__)
asm(R"(
.text
.type simt_switch, %function
simt_switch:
  sub sp, sp, #160
  stp x19, x20, [sp]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size simt_switch, .-simt_switch
)");
namespace {
constexpr int kReturnAddress = 11, kFrame = 20;
}
#endif

namespace simt {

#if defined(__x86_64__) || defined(__aarch64__)

void prepare(Context& fiber, char* stack, size_t bytes, void (*entry)()) {
  auto top = (reinterpret_cast<uintptr_t>(stack) + bytes) & ~uintptr_t{15};
  auto* frame = reinterpret_cast<uint64_t*>(top) - kFrame;
  std::memset(frame, 0, kFrame * sizeof(uint64_t));
  frame[kReturnAddress] = reinterpret_cast<uint64_t>(entry);
  fiber.stack_pointer = frame;
}

void switch_context(Context& from, Context& to) { simt_switch(&from.stack_pointer, to.stack_pointer); }

#else

void prepare(Context& fiber, char* stack, size_t bytes, void (*entry)()) {
  getcontext(&fiber.registers);
  fiber.registers.uc_stack.ss_sp = stack;
  fiber.registers.uc_stack.ss_size = bytes;
  fiber.registers.uc_link = nullptr;
  makecontext(&fiber.registers, entry, 0);
}

void switch_context(Context& from, Context& to) { swapcontext(&from.registers, &to.registers); }

#endif

}   // namespace simt
