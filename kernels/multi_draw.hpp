#pragma once

#include <cstdint>
#include <memory>

#include "engine/device.hpp"
#include "kernels/convolution.hpp"
#include "kernels/draw_statistics.hpp"
#include "kernels/noise.hpp"

namespace pixeldp::kernels {

/// What lies behind the noise of a small network: a convolution, ReLU, a dense layer, ReLU, and the
/// head that draw_statistics does.
struct MultiDrawNetwork {
  Conv2dShape conv;  ///< of one row; x is the noised prefix
  std::int64_t hidden = 0, classes = 0;
  bool in_int8 = false;  ///< operands of convolution and dense layer; else in bf16

  std::int64_t dense_in() const { return conv.out_h() * conv.out_w() * conv.out_c; }
};

/// What a network in int8 has in the place of the weights of convolution and dense layer: bytes in
/// the order of pack_int8_fragments (kernels/cuda/fragments.hpp), by what the sums of an output are
/// to be multiplied, and the inverse scales of what the two read. In the memory of the stream's
/// device.
struct MultiDrawInt8 {
  const std::int8_t *conv = nullptr, *dense = nullptr;
  const float *conv_scale = nullptr, *dense_scale = nullptr;
  float inverse_scale = 0.0f, features_inverse_scale = 0.0f;
};

/// In the memory of the stream's device.
struct MultiDrawWeights {
  const float* conv = nullptr;        ///< OIHW; in int8 null, as dense
  const float* dense = nullptr;       ///< [hidden, dense_in()], inputs in the order h, w, c
  const float* dense_bias = nullptr;  ///< [hidden], or null
  const float* head = nullptr;        ///< [classes, hidden]
  const float* head_bias = nullptr;   ///< [classes], or null
  MultiDrawInt8 int8 = {};
};

/// Draws first_draw ... first_draw + draws - 1 of each of `images` images.
struct MultiDrawParams {
  NoiseParams noise;
  std::uint32_t first_draw = 0, draws = 0;
  std::int64_t images = 0;
};

/// Everything from the noise to the statistics in one pass; nothing in between is written to
/// memory. For draw d of image i, whose id is a = image_ids[i]:
///
///   x = noise.activation(prefixes[i] + noise.scale * z(seed, tag, a, d))   as kernels/noise.hpp
///   h = relu(dense relu(x (*) conv) + dense_bias)                          operands in bf16, or
///                                                                          bytes, as a plan's
///   votes[i], sums[i], squares[i] += the statistics of the head of h       as draw_statistics.hpp
///
/// prefixes [images, in_h, in_w, in_c] in single precision, aligned to 16 bytes; votes, sums and
/// squares [images, classes] are added to, atomically. All in device memory; returns before the
/// work is done. What a draw adds depends neither on the other draws nor on the other images, to
/// the last bit. The noise, its addition and its activation are those of add_noise, to the bit.
///
/// A draw with a logit that is not finite adds nothing; *bad_row, no_bad_row before, becomes the
/// lowest such row, where row i * draws + (d - first_draw) is draw d of image i. Throws an Error
/// for noise that add_noise refuses, draws whose numbers do not fit 32 bits, prefixes that
/// are not aligned, and more than 65535 images.
class MultiDraw {
 public:
  virtual ~MultiDraw() = default;
  virtual void run(const MultiDrawParams& params, const float* prefixes,
                   const std::uint32_t* image_ids, std::uint64_t* votes, std::uint64_t* sums,
                   std::uint64_t* squares, std::uint64_t* bad_row) const = 0;
};

/// Whether the device has a kernel for this network. A caller without one goes from layer to layer.
bool multi_draw_supported(const Device& device, const MultiDrawNetwork& network);

/// Packs the weights, as work of the stream, which is that of all runs; changes after it are not
/// seen. Throws an Error where multi_draw_supported is false.
std::unique_ptr<MultiDraw> pack_multi_draw(const Stream& stream, const MultiDrawNetwork& network,
                                           const MultiDrawWeights& weights);

/// Throws the Error of the draw that *bad_row names, if it names one. image_ids: in host memory.
void check_bad_draw(std::uint64_t bad_row, const MultiDrawParams& params,
                    const std::uint32_t* image_ids);

}  // namespace pixeldp::kernels
