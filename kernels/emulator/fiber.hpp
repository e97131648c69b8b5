#pragma once

#include <cstddef>
#include <vector>

#if !defined(__x86_64__) || defined(PIXELDP_EMULATOR_UCONTEXT)
#define PIXELDP_FIBER_UCONTEXT 1
#include <ucontext.h>
#endif

/// Threads of a block are fibers: each has a stack of its own, and all of them take turns on one
/// thread of the operating system. Changing over costs a dozen instructions on x86-64; elsewhere
/// (or with PIXELDP_EMULATOR_UCONTEXT defined) ucontext does it, portably and ten times slower.
namespace pixeldp::emulator {

struct Stack {
  std::byte* bottom = nullptr;  ///< lowest address; the page below it is inaccessible
  std::size_t bytes = 0;
};

/// Stacks of equal size, kept for the next block.
class StackArena {
 public:
  StackArena() = default;
  ~StackArena();
  StackArena(const StackArena&) = delete;
  StackArena& operator=(const StackArena&) = delete;

  /// The stack with this number; made when first asked for. Fails when memory is exhausted.
  Stack stack(std::size_t index);

 private:
  std::vector<Stack> stacks_;
};

/// Where one line of execution was left, to be taken up again.
class Context {
 public:
  /// Makes this the beginning of `entry` on `stack`. `entry` must never return: it leaves by
  /// switch_to(other, true).
  void begin(Stack stack, void (*entry)());

  /// Leaves the running line of execution in *this and takes up `other`, which must have been left
  /// on (or begun for) this thread of the operating system. `finished`: *this is never taken up
  /// again.
  void switch_to(Context& other, bool finished = false);

  /// To be called first by `entry`: `from` is the context that switched here.
  static void arrived(Context& from);

 private:
#ifdef PIXELDP_FIBER_UCONTEXT
  ucontext_t context_ = {};
#else
  void* stack_pointer_ = nullptr;
#endif
  // What AddressSanitizer wants to know about the stack it is about to see.
  const void* stack_bottom_ = nullptr;
  std::size_t stack_bytes_ = 0;
  void* fake_stack_ = nullptr;
};

}  // namespace pixeldp::emulator
