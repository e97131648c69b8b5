#pragma once

#include <cstdint>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/int8_values.hpp"
#include "kernels/cuda/lane.cuh"

/// What every kernel does that makes values of a plan in int8, in the order of a processor's
/// operations (kernels/cpu/simd_inference.hpp), each of which rounds once.
namespace pixeldp::kernels::PIXELDP_DEVICE {

__device__ __forceinline__ float activated_lane(Rounded v, float slope) {
  return v > 0.0f ? v.value : (v * slope).value;
}

/// round(clamp(v * inverse_scale, -127, 127)), ties to even, in the last 8 bits. Adding 1.5 * 2^23
/// leaves no bits for a fraction, and the whole number in the last ones. What is not a number
/// becomes -127.
__device__ __forceinline__ std::uint32_t to_byte(float v, float inverse_scale) {
  constexpr float most = 127.0f, magic = 12582912.0f;
  float scaled = (Rounded(v) * inverse_scale).value;
  scaled = scaled > -most ? scaled : -most;
  scaled = scaled < most ? scaled : most;
  return __float_as_uint((Rounded(scaled) + magic).value) & 0xffu;
}

__device__ __forceinline__ std::uint32_t to_bytes(const float (&v)[4], float inverse_scale) {
  return to_byte(v[0], inverse_scale) | to_byte(v[1], inverse_scale) << 8 |
         to_byte(v[2], inverse_scale) << 16 | to_byte(v[3], inverse_scale) << 24;
}

__device__ __forceinline__ void store_word(std::int8_t* bytes, std::uint32_t word) {
  *reinterpret_cast<std::uint32_t*>(bytes) = word;
}

/// `count` of four values that lie side by side, all four where that is vectorised.
__device__ __forceinline__ void load_reals(const float* from, int count, bool vectorised,
                                           float (&v)[4]) {
  if (vectorised) {
    const float4 all = *reinterpret_cast<const float4*>(from);
    v[0] = all.x, v[1] = all.y, v[2] = all.z, v[3] = all.w;
  } else {
    for (int j = 0; j < 4; ++j) v[j] = j < count ? from[j] : 0.0f;
  }
}
__device__ __forceinline__ void store_reals(float* to, int count, bool vectorised,
                                            const float (&v)[4]) {
  if (vectorised) {
    *reinterpret_cast<float4*>(to) = make_float4(v[0], v[1], v[2], v[3]);
  } else {
    for (int j = 0; j < 4; ++j)
      if (j < count) to[j] = v[j];
  }
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
