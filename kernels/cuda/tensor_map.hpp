#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/on_devices.hpp"

/// Tensors as the copies of kernels/cuda/ptx/tma.cuh see them.
namespace pixeldp::kernels {

/// What the hardware reads: made by encode(), given to a kernel as a parameter (const
/// __grid_constant__).
struct alignas(128) TensorMap {
  std::uint64_t opaque[16];
};

/// A tensor of bf16, or of bytes, in device memory and the box of it that one copy brings, in tiled
/// mode: the element at coordinates x lies at address + sum of x[i] stride[i], and the box lies in
/// shared memory packed, innermost dimension first, its chunks of 16 bytes swizzled within
/// `swizzle` bytes (chunk c of row r at c xor r mod 8 for 128, rows of the box being as many
/// bytes).
struct TensorBox {
  static constexpr int most_rank = 5, bf16_bytes = 2;

  const void* address = nullptr;
  int rank = 0;
  std::int64_t size[most_rank] = {};              ///< elements, innermost dimension first
  std::int64_t stride[most_rank] = {bf16_bytes};  ///< bytes from an element to the next
  int box[most_rank] = {};                        ///< elements
  int swizzle = 128;                              ///< bytes: 0 (none), 32, 64, 128
  int element_bytes = bf16_bytes;                 ///< or 1

  /// Of the box in shared memory, also where it reaches beyond the tensor.
  std::int64_t box_bytes() const;
  /// Throws an Error that says which of the hardware's rules is broken. Source: CUDA driver API,
  /// cuTensorMapEncodeTiled; that a swizzled row is as long as its swizzle, and no shorter, is what
  /// the kernels' own layouts take for granted.
  void check() const;
};

// The map of a box that has been checked here. Throws an Error where it is wrong, or where the
// driver cannot make one (before sm_90).

PIXELDP_ON_DEVICES(TensorMap encode(const TensorBox& box);)

}  // namespace pixeldp::kernels
