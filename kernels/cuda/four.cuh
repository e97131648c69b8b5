#pragma once

#include <cstdint>

#include "kernels/cuda/device.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {

/// The next four floats of an array, or the `left` ones that are left of it. `aligned`: it begins
/// at a multiple of 16 bytes, so that one access does for four.
__device__ __forceinline__ void load_four(const float* from, std::int64_t left, bool aligned,
                                          float (&x)[4]) {
  if (aligned && left >= 4) {
    const float4 v = *reinterpret_cast<const float4*>(from);
    x[0] = v.x, x[1] = v.y, x[2] = v.z, x[3] = v.w;
  } else {
    for (int j = 0; j < 4; ++j) x[j] = j < left ? from[j] : 0.0f;
  }
}

__device__ __forceinline__ void store_four(float* to, std::int64_t left, bool aligned,
                                           const float (&x)[4]) {
  if (aligned && left >= 4) {
    *reinterpret_cast<float4*>(to) = make_float4(x[0], x[1], x[2], x[3]);
  } else {
    for (int j = 0; j < 4; ++j)
      if (j < left) to[j] = x[j];
  }
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
