#pragma once

#include "kernels/cuda/device.cuh"

/// Copies from global to shared memory that go on while the thread does something else (sm_80).
///
/// A thread may read what it copied after its own wait; the others after a barrier that follows it.
namespace pixeldp::kernels::PIXELDP_DEVICE::ptx {

/// Copies `bytes` (4, 8 or 16, to which both addresses are aligned). Of 16 bytes nothing stays in
/// the L1 cache. With source_bytes < bytes only so many are read and zeros make up the rest; with 0
/// the source is not touched.
template <int bytes>
__device__ __forceinline__ void cp_async(void* shared, const void* global,
                                         int source_bytes = bytes) {
  static_assert(bytes == 4 || bytes == 8 || bytes == 16);
#ifdef PIXELDP_EMULATED
  emulator::cp_async(shared, global, bytes, source_bytes);
#else
  const auto target = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  if constexpr (bytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(target), "l"(global),
                 "r"(source_bytes)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(target), "l"(global),
                 "n"(bytes), "r"(source_bytes)
                 : "memory");
  }
#endif
}

/// Closes a group: the thread's copies since the last one, maybe none.
__device__ __forceinline__ void cp_async_commit() {
#ifdef PIXELDP_EMULATED
  emulator::cp_async_commit();
#else
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

/// Waits until at most the latest `pending` groups of this thread are under way.
template <int pending>
__device__ __forceinline__ void cp_async_wait() {
#ifdef PIXELDP_EMULATED
  emulator::cp_async_wait(pending);
#else
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
#endif
}

/// Waits for all copies of this thread, in a group or not.
__device__ __forceinline__ void cp_async_wait_all() {
#ifdef PIXELDP_EMULATED
  emulator::cp_async_wait_all();
#else
  asm volatile("cp.async.wait_all;" ::: "memory");
#endif
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE::ptx
