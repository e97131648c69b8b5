#pragma once

#include <cstdint>

#include "kernels/cuda/convolution_int8.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/lane.cuh"
#include "kernels/cuda/to_bytes.cuh"

/// What the convolutions in int8 make of their sums (Int8Epilogue): the sums of a tile lie in
/// shared memory, and a thread takes four channels of pixel after pixel.
namespace pixeldp::kernels::PIXELDP_DEVICE {

/// Channels o ... o + 3 of y, as far as they exist, with what is the same for all pixels. Offsets
/// are those of channel o of a pixel in y. `vectorised`: Int8Epilogue::is_vectorised().
class Int8FourChannels {
 public:
  using Residual = float4;

  __device__ __forceinline__ Int8FourChannels(const Int8Epilogue& epilogue, int o, int out_c)
      : count_(out_c - o < 4 ? out_c - o : 4) {
    for (int j = 0; j < 4; ++j) {
      if (j >= count_) continue;
      scale_[j] = epilogue.scale[o + j];
      if (epilogue.shift != nullptr) shift_[j] = epilogue.shift[o + j];
      if (epilogue.writes_next())
        next_scale_[j] = epilogue.next_scale[o + j], next_shift_[j] = epilogue.next_shift[o + j];
    }
  }

  __device__ __forceinline__ bool exist() const { return count_ > 0; }

  __device__ __forceinline__ Residual residual(const Int8Epilogue& epilogue, bool vectorised,
                                               std::int64_t offset) const {
    float v[4] = {};
    if (epilogue.residual != nullptr) load_reals(epilogue.residual + offset, count_, vectorised, v);
    return make_float4(v[0], v[1], v[2], v[3]);
  }

  /// Of sums as the nearest floats, as 32-bit integers are converted.
  __device__ __forceinline__ void write(const Int8Epilogue& epilogue, bool vectorised,
                                        const float4& sum, const Residual& residual,
                                        std::int64_t offset) const {
    const float sums[4] = {sum.x, sum.y, sum.z, sum.w};
    const float added[4] = {residual.x, residual.y, residual.z, residual.w};
    float v[4];
    for (int j = 0; j < 4; ++j) {
      Rounded value = Rounded(sums[j]) * scale_[j] + shift_[j];
      if (epilogue.residual != nullptr) value = value + added[j];
      v[j] = activated_lane(value, epilogue.activation.slope);
    }
    write_to(epilogue.y, vectorised, offset, v);
    if (!epilogue.writes_next()) return;
    for (int j = 0; j < 4; ++j)
      v[j] = activated_lane(Rounded(v[j]) * next_scale_[j] + next_shift_[j],
                            epilogue.next_activation.slope);
    write_to(epilogue.next, vectorised, offset, v);
  }

 private:
  __device__ __forceinline__ void write_to(const Int8Target& to, bool vectorised,
                                           std::int64_t offset, const float (&v)[4]) const {
    if (to.real != nullptr) store_reals(to.real + offset, count_, vectorised, v);
    if (to.bytes != nullptr) store_word(to.bytes + offset, to_bytes(v, to.inverse_scale));
  }

  int count_;
  float scale_[4] = {}, shift_[4] = {}, next_scale_[4] = {}, next_shift_[4] = {};
};

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
