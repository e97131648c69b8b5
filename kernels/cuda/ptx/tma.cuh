#pragma once

#include <cstdint>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/ptx/mbarrier.cuh"
#include "kernels/cuda/tensor_map.hpp"

/// Copies to shared memory (sm_90), of boxes of tensors by the tensor memory accelerator, or of
/// bytes that lie side by side: one thread asks, and an mbarrier gets the bytes.
namespace pixeldp::kernels::PIXELDP_DEVICE::ptx {

/// The box (TensorBox) that begins at these coordinates, innermost first, any of which may be
/// negative or beyond the tensor: what lies outside is zero, and counts for the barrier's bytes.
/// `shared` is aligned to 128 bytes, and to 1024 for who computes the swizzle from its beginning;
/// `map` is a kernel's parameter (const __grid_constant__). The target must not be in use: ordinary
/// reads of it and products must have come before an arrival that this thread waited for.
__device__ __forceinline__ void copy_box(void* shared, const TensorMap& map, std::uint64_t* barrier,
                                         int x, int y) {
#ifdef PIXELDP_EMULATED
  const int coordinates[] = {x, y};
  emulator::copy_tensor_box(shared, &map, barrier, coordinates, 2);
#else
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], "
      "[%1, {%3, %4}], [%2];" ::"r"(shared_address(shared)),
      "l"(&map), "r"(shared_address(barrier)), "r"(x), "r"(y)
      : "memory");
#endif
}

__device__ __forceinline__ void copy_box(void* shared, const TensorMap& map, std::uint64_t* barrier,
                                         int x, int y, int z) {
#ifdef PIXELDP_EMULATED
  const int coordinates[] = {x, y, z};
  emulator::copy_tensor_box(shared, &map, barrier, coordinates, 3);
#else
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], "
      "[%1, {%3, %4, %5}], [%2];" ::"r"(shared_address(shared)),
      "l"(&map), "r"(shared_address(barrier)), "r"(x), "r"(y), "r"(z)
      : "memory");
#endif
}

__device__ __forceinline__ void copy_box(void* shared, const TensorMap& map, std::uint64_t* barrier,
                                         int x, int y, int z, int w) {
#ifdef PIXELDP_EMULATED
  const int coordinates[] = {x, y, z, w};
  emulator::copy_tensor_box(shared, &map, barrier, coordinates, 4);
#else
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], "
      "[%1, {%3, %4, %5, %6}], [%2];" ::"r"(shared_address(shared)),
      "l"(&map), "r"(shared_address(barrier)), "r"(x), "r"(y), "r"(z), "r"(w)
      : "memory");
#endif
}

// The same to that place of each block of the cluster whose bit is in `blocks`; the barrier in that
// place of the block gets the bytes, which may come before it expects them. The targets must not be
// in use in any of the blocks.

__device__ __forceinline__ void multicast_box(void* shared, const TensorMap& map,
                                              std::uint64_t* barrier, int x, int y, int z,
                                              std::uint16_t blocks) {
#ifdef PIXELDP_EMULATED
  const int coordinates[] = {x, y, z};
  emulator::multicast_tensor_box(shared, &map, barrier, coordinates, 3, blocks);
#else
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
      ".multicast::cluster [%0], [%1, {%3, %4, %5}], [%2], %6;" ::"r"(shared_address(shared)),
      "l"(&map), "r"(shared_address(barrier)), "r"(x), "r"(y), "r"(z), "h"(blocks)
      : "memory");
#endif
}

__device__ __forceinline__ void multicast_box(void* shared, const TensorMap& map,
                                              std::uint64_t* barrier, int x, int y, int z, int w,
                                              std::uint16_t blocks) {
#ifdef PIXELDP_EMULATED
  const int coordinates[] = {x, y, z, w};
  emulator::multicast_tensor_box(shared, &map, barrier, coordinates, 4, blocks);
#else
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
      ".multicast::cluster [%0], [%1, {%3, %4, %5, %6}], [%2], %7;" ::"r"(shared_address(shared)),
      "l"(&map), "r"(shared_address(barrier)), "r"(x), "r"(y), "r"(z), "r"(w), "h"(blocks)
      : "memory");
#endif
}

/// `bytes` from device memory, a multiple of 16, as both addresses are. The target must not be in
/// use, as above.
__device__ __forceinline__ void copy_bytes(void* shared, const void* global, std::uint32_t bytes,
                                           std::uint64_t* barrier) {
#ifdef PIXELDP_EMULATED
  emulator::copy_bytes(shared, global, bytes, barrier);
#else
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(shared_address(shared)),
      "l"(global), "r"(bytes), "r"(shared_address(barrier))
      : "memory");
#endif
}

/// The bytes that lie at `shared`, to that place of the block of this rank in the cluster, whose
/// barrier in that place gets them. They must have been written before a fence_proxy_async of who
/// wrote them and an order with this thread, and must stay until the peer's barrier has them.
__device__ __forceinline__ void send_bytes(void* shared, std::uint32_t bytes,
                                           std::uint64_t* barrier, unsigned rank) {
#ifdef PIXELDP_EMULATED
  emulator::send_bytes(shared, bytes, barrier, rank);
#else
  asm volatile(
      "{\n"
      ".reg .b32 target, signal;\n"
      "mapa.shared::cluster.u32 target, %0, %3;\n"
      "mapa.shared::cluster.u32 signal, %2, %3;\n"
      "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [target], [%0], %1, "
      "[signal];\n"
      "}" ::"r"(shared_address(shared)),
      "r"(bytes), "r"(shared_address(barrier)), "r"(rank)
      : "memory");
#endif
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE::ptx
