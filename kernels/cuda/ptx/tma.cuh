#pragma once

#include <cstdint>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/ptx/mbarrier.cuh"
#include "kernels/cuda/tensor_map.hpp"

/// Copies of boxes of tensors to shared memory (sm_90), by the tensor memory accelerator: one
/// thread asks, and an mbarrier gets the bytes.
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

}  // namespace pixeldp::kernels::PIXELDP_DEVICE::ptx
