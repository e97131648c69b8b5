#pragma once

#include <cstdint>

#include "kernels/cuda/device.cuh"

/// Barriers in shared memory whose phases end when all arrivals and all announced bytes have come
/// (sm_90).
///
/// The phases of a barrier are 0, 1, 0 ... by parity. A thread that waits for one must look before
/// the next ends. What a thread did before it arrived has happened for those who waited.
namespace pixeldp::kernels::PIXELDP_DEVICE::ptx {

#ifndef PIXELDP_EMULATED
__device__ __forceinline__ std::uint32_t shared_address(const void* shared) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
}
#endif

/// So many arrivals end a phase. Others may use the barrier after a __syncthreads, copies after
/// fence_proxy_async and that.
__device__ __forceinline__ void mbarrier_init(std::uint64_t* barrier, unsigned arrivals) {
#ifdef PIXELDP_EMULATED
  emulator::mbarrier_init(barrier, arrivals);
#else
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)),
               "r"(arrivals)
               : "memory");
#endif
}

__device__ __forceinline__ void mbarrier_arrive(std::uint64_t* barrier) {
#ifdef PIXELDP_EMULATED
  emulator::mbarrier_arrive(barrier);
#else
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier))
               : "memory");
#endif
}

/// Arrives at the barrier in that place of the block of this rank in the cluster, for which
/// fence_mbarrier_init came behind its beginning.
__device__ __forceinline__ void mbarrier_arrive_in_peer(std::uint64_t* barrier, unsigned rank) {
#ifdef PIXELDP_EMULATED
  emulator::mbarrier_arrive_in_peer(barrier, rank);
#else
  asm volatile(
      "{\n"
      ".reg .b32 theirs;\n"
      "mapa.shared::cluster.u32 theirs, %0, %1;\n"
      "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [theirs];\n"
      "}" ::"r"(shared_address(barrier)),
      "r"(rank)
      : "memory");
#endif
}

/// The beginnings of barriers, by this thread, have happened for the cluster's blocks that meet it
/// at the cluster's barrier, and for copies that signal them.
__device__ __forceinline__ void fence_mbarrier_init() {
#ifdef PIXELDP_EMULATED
  emulator::fence_mbarrier_init();
#else
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}

/// Announces bytes that copies will bring in this phase, and arrives.
__device__ __forceinline__ void mbarrier_arrive_expect(std::uint64_t* barrier,
                                                       std::uint32_t bytes) {
#ifdef PIXELDP_EMULATED
  emulator::mbarrier_arrive_expect(barrier, bytes);
#else
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
      "r"(bytes)
      : "memory");
#endif
}

/// Waits until the phase of this parity has ended: at once where the present one has the other.
__device__ __forceinline__ void mbarrier_wait(std::uint64_t* barrier, unsigned parity) {
#ifdef PIXELDP_EMULATED
  emulator::mbarrier_wait(barrier, parity);
#else
  asm volatile(
      "{\n"
      ".reg .pred ended;\n"
      "wait_%=:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 ended, [%0], %1;\n"
      "@!ended bra wait_%=;\n"
      "}" ::"r"(shared_address(barrier)),
      "r"(parity)
      : "memory");
#endif
}

/// The same where peers arrive, too.
__device__ __forceinline__ void mbarrier_wait_for_peers(std::uint64_t* barrier, unsigned parity) {
#ifdef PIXELDP_EMULATED
  emulator::mbarrier_wait(barrier, parity);
#else
  asm volatile(
      "{\n"
      ".reg .pred ended;\n"
      "wait_%=:\n"
      "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 ended, [%0], %1;\n"
      "@!ended bra wait_%=;\n"
      "}" ::"r"(shared_address(barrier)),
      "r"(parity)
      : "memory");
#endif
}

/// What the thread wrote to shared memory by ordinary stores (a barrier's beginning among it) has
/// happened for the asynchronous proxy, bulk copies and warpgroup products, of whoever comes after
/// the thread.
__device__ __forceinline__ void fence_proxy_async() {
#ifdef PIXELDP_EMULATED
  emulator::fence_proxy_async();
#else
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE::ptx
