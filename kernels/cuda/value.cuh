#pragma once

#include <cstdint>

#include "kernels/cuda/device.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {

/// A value in fp32, or as the bits of bf16.
__device__ __forceinline__ float load(const float* x) { return *x; }
__device__ __forceinline__ float load(const std::uint16_t* x) {
  return __uint_as_float(std::uint32_t{*x} << 16);
}

/// Blocks of a kernel that makes one value with each thread (row_blocks in row_operations.hpp), and
/// which value is the thread's.
inline constexpr int value_threads = 256;
__device__ __forceinline__ std::int64_t own_value() {
  return std::int64_t{blockIdx.x} * value_threads + threadIdx.x;
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
