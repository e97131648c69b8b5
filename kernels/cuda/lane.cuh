#pragma once

#include <cstdint>

#include "kernels/cuda/device.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {

/// A float each of whose operations is rounded on its own: no compiler flag can fuse a
/// multiplication with an addition, or flush a small result to zero.
struct Rounded {
  float value = 0.0f;

  Rounded() = default;
  __host__ __device__ constexpr Rounded(float value_) : value(value_) {}

  __device__ __forceinline__ friend Rounded operator+(Rounded a, Rounded b) {
    return __fadd_rn(a.value, b.value);
  }
  __device__ __forceinline__ friend Rounded operator-(Rounded a, Rounded b) {
    return __fsub_rn(a.value, b.value);
  }
  __device__ __forceinline__ friend Rounded operator*(Rounded a, Rounded b) {
    return __fmul_rn(a.value, b.value);
  }
  __device__ __forceinline__ friend bool operator>(Rounded a, Rounded b) {
    return a.value > b.value;
  }
};

/// One lane: what kernels/formulas/elementary.hpp and kernels/formulas/noise.hpp calculate with on
/// a GPU.
struct Lane {
  static constexpr int lanes = 1;
  using Floats = Rounded;
  using Words = std::uint32_t;

  __device__ __forceinline__ static Floats from_words(Words w) { return __uint2float_rn(w); }
  __device__ __forceinline__ static Floats from_ints(Words w) {
    return __int2float_rn(static_cast<int>(w));
  }
  __device__ __forceinline__ static Floats fma(Floats a, Floats b, Floats c) {
    return __fmaf_rn(a.value, b.value, c.value);
  }
  __device__ __forceinline__ static Floats sqrt(Floats a) { return __fsqrt_rn(a.value); }
  /// b where one is not a number, like the instruction of x86.
  __device__ __forceinline__ static Floats max(Floats a, Floats b) { return a > b ? a : b; }
};

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
