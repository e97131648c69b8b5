#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <fmt/format.h>

#include "kernels/emulator/block.hpp"

/// What the compiler calls in code that is compiled by -fsanitize=thread,alignment,bounds,...,
/// which kernels/emulator/CMakeLists.txt asks for where there are kernels: at every load and store,
/// where an address is no multiple of what its type wants, and where an index, a sum, a shift or a
/// division is undefined. Nothing of the sanitizers themselves is linked. The calls are listed in
/// GCC's gcc/sanitizer.def; see also LLVM's compiler-rt/lib/tsan/rtl/tsan_interface.h and
/// compiler-rt/lib/ubsan/ubsan_handlers.h.

namespace pixeldp::emulator {
namespace {

void note(const volatile void* address, std::size_t bytes, Access kind) {
  if (checked_block != nullptr)
    checked_block->note_access(const_cast<const void*>(address), bytes, kind);
}

/// As the compiler lays them out.
struct Place {
  const char* file;
  std::uint32_t line, column;
};
struct Misaligned {
  Place place;
  const void* type;
  unsigned char log_alignment, access;
};

/// Ends the launch, or, where no launch is checked, the program.
[[noreturn]] void refuse(const Place& place, std::string_view what) {
  std::string_view file = place.file;
  file.remove_prefix(file.rfind('/') + 1);
  const std::string text = fmt::format("{}:{} {}", file, place.line, what);
  if (checked_block != nullptr) checked_block->refuse_access(checked_block->linear_thread(), text);
  std::fprintf(stderr, "error: a kernel is wrong: %s\n", text.c_str());
  std::abort();
}

}  // namespace
}  // namespace pixeldp::emulator

using pixeldp::emulator::Access;
using pixeldp::emulator::checked_block;
using pixeldp::emulator::Misaligned;
using pixeldp::emulator::note;
using pixeldp::emulator::Place;
using pixeldp::emulator::refuse;

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}

void __ubsan_handle_type_mismatch_v1(Misaligned* what, std::uintptr_t address) {
  if (checked_block == nullptr) return;  // addresses of the host need not be aligned as a GPU's
  refuse(what->place, fmt::format("needs an address that is a multiple of {}, and {:#x} is none",
                                  1 << what->log_alignment, address));
}
void __ubsan_handle_out_of_bounds(Place* place, std::uintptr_t index) {
  refuse(*place, fmt::format("has no element {}", static_cast<std::intptr_t>(index)));
}
void __ubsan_handle_add_overflow(Place* place, std::uintptr_t, std::uintptr_t) {
  refuse(*place, "adds or subtracts beyond what its type holds");
}
void __ubsan_handle_sub_overflow(Place* place, std::uintptr_t, std::uintptr_t) {
  refuse(*place, "adds or subtracts beyond what its type holds");
}
void __ubsan_handle_mul_overflow(Place* place, std::uintptr_t, std::uintptr_t) {
  refuse(*place, "multiplies beyond what its type holds");
}
void __ubsan_handle_negate_overflow(Place* place, std::uintptr_t) {
  refuse(*place, "negates beyond what its type holds");
}
void __ubsan_handle_divrem_overflow(Place* place, std::uintptr_t, std::uintptr_t) {
  refuse(*place, "divides by zero, or beyond what its type holds");
}
void __ubsan_handle_shift_out_of_bounds(Place* place, std::uintptr_t, std::uintptr_t) {
  refuse(*place, "shifts by more than there are bits");
}

#define PIXELDP_ACCESSES(bytes)                                                            \
  void __tsan_read##bytes(void* address) { note(address, bytes, Access::read); }           \
  void __tsan_write##bytes(void* address) { note(address, bytes, Access::write); }         \
  void __tsan_unaligned_read##bytes(void* address) { note(address, bytes, Access::read); } \
  void __tsan_unaligned_write##bytes(void* address) { note(address, bytes, Access::write); }
PIXELDP_ACCESSES(1)
PIXELDP_ACCESSES(2)
PIXELDP_ACCESSES(4)
PIXELDP_ACCESSES(8)
PIXELDP_ACCESSES(16)
#undef PIXELDP_ACCESSES

void __tsan_read_range(void* address, std::size_t bytes) { note(address, bytes, Access::read); }
void __tsan_write_range(void* address, std::size_t bytes) { note(address, bytes, Access::write); }

void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void __tsan_atomic_signal_fence(int) { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

#define PIXELDP_CHANGE(bits, name)                                                       \
  std::uint##bits##_t __tsan_atomic##bits##_##name(volatile std::uint##bits##_t* target, \
                                                   std::uint##bits##_t value, int) {     \
    note(target, bits / 8, Access::atomic);                                              \
    return __atomic_##name(target, value, __ATOMIC_SEQ_CST);                             \
  }
#define PIXELDP_EXCHANGE(bits, strength, weak)                                                  \
  bool __tsan_atomic##bits##_compare_exchange_##strength(volatile std::uint##bits##_t* target,  \
                                                         std::uint##bits##_t* expected,         \
                                                         std::uint##bits##_t value, int, int) { \
    note(target, bits / 8, Access::atomic);                                                     \
    return __atomic_compare_exchange_n(target, expected, value, weak, __ATOMIC_SEQ_CST,         \
                                       __ATOMIC_SEQ_CST);                                       \
  }
#define PIXELDP_ATOMICS(bits)                                                                     \
  std::uint##bits##_t __tsan_atomic##bits##_load(const volatile std::uint##bits##_t* from, int) { \
    note(from, bits / 8, Access::atomic);                                                         \
    return __atomic_load_n(from, __ATOMIC_SEQ_CST);                                               \
  }                                                                                               \
  void __tsan_atomic##bits##_store(volatile std::uint##bits##_t* to, std::uint##bits##_t value,   \
                                   int) {                                                         \
    note(to, bits / 8, Access::atomic);                                                           \
    __atomic_store_n(to, value, __ATOMIC_SEQ_CST);                                                \
  }                                                                                               \
  std::uint##bits##_t __tsan_atomic##bits##_exchange(volatile std::uint##bits##_t* target,        \
                                                     std::uint##bits##_t value, int) {            \
    note(target, bits / 8, Access::atomic);                                                       \
    return __atomic_exchange_n(target, value, __ATOMIC_SEQ_CST);                                  \
  }                                                                                               \
  PIXELDP_CHANGE(bits, fetch_add)                                                                 \
  PIXELDP_CHANGE(bits, fetch_sub)                                                                 \
  PIXELDP_CHANGE(bits, fetch_and)                                                                 \
  PIXELDP_CHANGE(bits, fetch_or)                                                                  \
  PIXELDP_CHANGE(bits, fetch_xor)                                                                 \
  PIXELDP_EXCHANGE(bits, strong, false)                                                           \
  PIXELDP_EXCHANGE(bits, weak, true)
PIXELDP_ATOMICS(8)
PIXELDP_ATOMICS(16)
PIXELDP_ATOMICS(32)
PIXELDP_ATOMICS(64)
#undef PIXELDP_ATOMICS
#undef PIXELDP_EXCHANGE
#undef PIXELDP_CHANGE

}  // extern "C"
