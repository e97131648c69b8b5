#pragma once

#include <cstdint>

#include "kernels/cuda/convolution_gemm.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/lane.cuh"
#include "kernels/cuda/ptx/convert.cuh"
#include "kernels/formulas/batch_norm.hpp"
#include "kernels/formulas/noise.hpp"

/// What the tensor-core convolutions make of their sums (ConvEpilogue): the sums of a tile lie in
/// shared memory, and a thread takes four channels of pixel after pixel.
namespace pixeldp::kernels::PIXELDP_DEVICE {

/// Where columns 4 c ... 4 c + 3 of a row of n sums begin: neither the writing of fragments nor the
/// reading of rows meets a bank twice.
template <int n>
__device__ __forceinline__ int sum_offset(int row, int c) {
  return row * n + (c ^ (row % 4 * 2)) * 4;
}

__device__ __forceinline__ void store(float* y, const float (&value)[4]) {
  *reinterpret_cast<float4*>(y) = make_float4(value[0], value[1], value[2], value[3]);
}
__device__ __forceinline__ void store(std::uint16_t* y, const float (&value)[4]) {
  *reinterpret_cast<uint2*>(y) =
      make_uint2(ptx::to_bf16x2(value[0], value[1]), ptx::to_bf16x2(value[2], value[3]));
}
__device__ __forceinline__ void store(float* y, float value) { *y = value; }
__device__ __forceinline__ void store(std::uint16_t* y, float value) {
  *y = static_cast<std::uint16_t>(ptx::to_bf16x2(value, 0.0f));
}

/// Channels o ... o + 3 of y, as far as they exist, with what is the same for all pixels. Offsets
/// are those of channel o of a pixel in y. `vectorised`: is_vectorised().
class FourChannels {
 public:
  /// As it lies in memory: who loads it need not wait for it.
  using Residual = uint4;

  __device__ __forceinline__ FourChannels(const ConvEpilogue& epilogue, int o, int out_c)
      : count_(out_c - o < 4 ? out_c - o : 4) {
    for (int j = 0; j < 4; ++j) {
      scale_[j] = 1.0f, shift_[j] = 0.0f, next_[j] = {};
      if (j >= count_) continue;
      if (epilogue.scale != nullptr) scale_[j] = epilogue.scale[o + j];
      if (epilogue.shift != nullptr) shift_[j] = epilogue.shift[o + j];
      if (epilogue.next != nullptr)
        next_[j] = {epilogue.next_scale[o + j], epilogue.next_shift[o + j]};
    }
  }

  __device__ __forceinline__ bool exist() const { return count_ > 0; }

  __device__ __forceinline__ Residual residual(const ConvEpilogue& epilogue, bool vectorised,
                                               std::int64_t offset) const {
    std::uint32_t bits[4] = {};  // of two bf16 each, or of one
    if (epilogue.residual_fp32 != nullptr) {
      if (vectorised) return *reinterpret_cast<const uint4*>(epilogue.residual_fp32 + offset);
      for (int j = 0; j < 4; ++j)
        if (j < count_) bits[j] = __float_as_uint(epilogue.residual_fp32[offset + j]);
    } else if (epilogue.residual != nullptr) {
      if (vectorised) {
        const uint2 four = *reinterpret_cast<const uint2*>(epilogue.residual + offset);
        return make_uint4(four.x, four.y, 0, 0);
      }
      for (int j = 0; j < 4; ++j)
        if (j < count_) bits[j / 2] |= std::uint32_t{epilogue.residual[offset + j]} << j % 2 * 16;
    }
    return make_uint4(bits[0], bits[1], bits[2], bits[3]);
  }

  /// y (where it is not null) and what follows it.
  template <class Output>
  __device__ __forceinline__ void write(const ConvEpilogue& epilogue, bool vectorised,
                                        const float4& sum, const Residual& residual,
                                        std::int64_t offset, Output* __restrict__ y) const {
    const float sums[4] = {sum.x, sum.y, sum.z, sum.w};
    const bool single = epilogue.residual_fp32 != nullptr;
    const float added[4] = {
        single ? __uint_as_float(residual.x) : __uint_as_float(residual.x << 16),
        single ? __uint_as_float(residual.y) : __uint_as_float(residual.x & 0xffff0000u),
        single ? __uint_as_float(residual.z) : __uint_as_float(residual.y << 16),
        single ? __uint_as_float(residual.w) : __uint_as_float(residual.y & 0xffff0000u)};
    float value[4];
    for (int j = 0; j < 4; ++j) value[j] = finish<Lane>(epilogue, sums[j], j, added[j]);
    if (y != nullptr) store_channels(y + offset, value, vectorised);
    if (epilogue.next == nullptr) return;
    for (int j = 0; j < 4; ++j)
      value[j] = normalised(next_[j], value[j], epilogue.next_activation.slope);
    store_channels(epilogue.next + offset, value, vectorised);
  }

 private:
  template <class V>
  __device__ __forceinline__ float finish(const ConvEpilogue& epilogue, float sum, int j,
                                          float residual) const {
    const typename V::Floats value = V::fma(sum, scale_[j], shift_[j]) + residual;
    return AnyActivation{epilogue.activation.slope}.apply<V>(value).value;
  }

  template <class Output>
  __device__ __forceinline__ void store_channels(Output* y, const float (&value)[4],
                                                 bool vectorised) const {
    if (vectorised) return store(y, value);
    for (int j = 0; j < 4; ++j)
      if (j < count_) store(y + j, value[j]);
  }

  int count_;
  float scale_[4], shift_[4];
  ScaleShift next_[4];
};

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
