#pragma once

#include "kernels/cuda/convolution_epilogue.cuh"
#include "kernels/cuda/int8_epilogue.cuh"

/// Sums of tensor cores and the epilogues that finish them.
namespace pixeldp::kernels::PIXELDP_DEVICE {

/// What an epilogue's sums are, and what finishes four channels of them. ConvEpilogue: of bf16 or
/// tf32.
template <class Epilogue>
struct SumsOf {
  using Sum = float;
  using Four = FourChannels;
};
template <>
struct SumsOf<Int8Epilogue> {
  using Sum = std::int32_t;
  using Four = Int8FourChannels;
};

__device__ __forceinline__ float to_single(float sum) { return sum; }
__device__ __forceinline__ float to_single(std::int32_t sum) { return __int2float_rn(sum); }

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
