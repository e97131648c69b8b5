#pragma once

#include "kernels/cuda/device.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {

/// The sum over the 32 lanes of a warp, in every lane. The order is fixed: lane l with lane l + 16,
/// that with l + 8, and so on (on processors: sum_of_lanes of kernels/cpu/lane_sums.hpp).
template <class T>
__device__ __forceinline__ T warp_sum(T value) {
  for (int bits = 16; bits > 0; bits /= 2) value += __shfl_xor_sync(0xffffffffu, value, bits);
  return value;
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
