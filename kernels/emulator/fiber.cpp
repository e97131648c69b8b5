#include "kernels/emulator/fiber.hpp"

#include <cerrno>
#include <cstdint>
#include <cstring>

#include <sys/mman.h>
#include <unistd.h>

#include "engine/error.hpp"
#include "kernels/emulator/sanitizer.hpp"

namespace pixeldp::emulator {
namespace {

/// AddressSanitizer surrounds every local array with margins of its own.
constexpr std::size_t stack_bytes = address_sanitizer ? 256 * 1024 : 64 * 1024;

std::size_t page_bytes() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }

}  // namespace

StackArena::~StackArena() {
  for (const Stack& stack : stacks_) {
    unpoison(stack.bottom, stack.bytes);
    munmap(stack.bottom - page_bytes(), stack.bytes + page_bytes());
  }
}

Stack StackArena::stack(std::size_t index) {
  while (stacks_.size() <= index) {
    const std::size_t guard = page_bytes();
    void* memory = mmap(nullptr, guard + stack_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, guard, PROT_NONE) != 0)
      fail("no memory for the stack of emulated thread {}: {}", index, std::strerror(errno));
    stacks_.push_back({static_cast<std::byte*>(memory) + guard, stack_bytes});
  }
  // A kernel that was abandoned in mid-flight leaves its frames' margins marked.
  unpoison(stacks_[index].bottom, stacks_[index].bytes);
  return stacks_[index];
}

#ifdef PIXELDP_FIBER_UCONTEXT

void Context::begin(Stack stack, void (*entry)()) {
  getcontext(&context_);
  context_.uc_stack.ss_sp = stack.bottom;
  context_.uc_stack.ss_size = stack.bytes;
  context_.uc_link = nullptr;
  makecontext(&context_, entry, 0);
  stack_bottom_ = stack.bottom;
  stack_bytes_ = stack.bytes;
}

void Context::switch_to(Context& other, bool finished) {
  start_switch(finished ? nullptr : &fake_stack_, other.stack_bottom_, other.stack_bytes_);
  swapcontext(&context_, &other.context_);
  finish_switch(fake_stack_, nullptr, nullptr);
}

#else

// Keeps the registers that a called function must preserve, and changes stacks. The rounding mode
// is left alone: nobody changes it.
extern "C" void pixeldp_switch_stack(void** left, void* taken_up);
asm(R"(
.text
.globl pixeldp_switch_stack
.hidden pixeldp_switch_stack
.type pixeldp_switch_stack, @function
pixeldp_switch_stack:
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
.size pixeldp_switch_stack, .-pixeldp_switch_stack
)");

void Context::begin(Stack stack, void (*entry)()) {
  // As if `entry` had been called (from address 0, where unwinding ends) and the switch called at
  // its very beginning: six registers, the address of `entry`, the return address.
  // A function begins 8 bytes below a multiple of 16, which is where the return address lies.
  void* const frame[8] = {
      nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, reinterpret_cast<void*>(entry),
      nullptr};
  stack_pointer_ = stack.bottom + stack.bytes - sizeof frame;
  std::memcpy(stack_pointer_, frame, sizeof frame);
  stack_bottom_ = stack.bottom;
  stack_bytes_ = stack.bytes;
}

void Context::switch_to(Context& other, bool finished) {
  start_switch(finished ? nullptr : &fake_stack_, other.stack_bottom_, other.stack_bytes_);
  pixeldp_switch_stack(&stack_pointer_, other.stack_pointer_);
  finish_switch(fake_stack_, nullptr, nullptr);
}

#endif

void Context::arrived(Context& from) {
  finish_switch(nullptr, &from.stack_bottom_, &from.stack_bytes_);
}

}  // namespace pixeldp::emulator
