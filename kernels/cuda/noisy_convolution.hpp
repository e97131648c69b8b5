#pragma once

#include <cstdint>
#include <memory>

#include "kernels/cuda/convolution_gemm.hpp"
#include "kernels/cuda/on_devices.hpp"
#include "kernels/noise.hpp"

namespace pixeldp::kernels {

/// What a batch norm with fixed statistics and an activation do to channels, a value per channel
/// each, in device memory.
struct NoisyScaling {
  const float* scale = nullptr;  ///< null: 1, and between noise and convolution nothing at all
  const float* shift = nullptr;  ///< null: 0
  Activation activation;
};

/// Noise and the convolution behind it in one pass, for rows r < shape.batch:
///
///   x[r] = noise.activation(prefix[rows[r].source] + noise.scale * z)      as kernels/noise.hpp
///   x[r] = before.activation(scale[c] * x[r] + shift[c])                where before.scale is
///   given y[r] = after.activation(scale[o] * (bf16(x[r]) (*) weight) + shift[o])
///
/// These are the bits of add_noise, batch_norm_inference and conv2d_forward with Precision::bf16
/// (without noise up to the sign of zeros), rounded to bf16.
///
/// prefix [any, in_h, in_w, in_c] in single precision; in bf16 (its bits) y [batch, out_h, out_w,
/// out_c] and x, where not null, which gets what the convolution takes, [batch, in_h, in_w, in_c].
/// All in device memory, aligned to 16 bytes, none of them overlapping. Runs follow each other in
/// the stream that this was prepared for, which outlives it; a run returns before the work is done,
/// and throws an Error for noise that add_noise refuses and arrays that are not aligned.
class NoisyConv2d {
 public:
  virtual ~NoisyConv2d() = default;
  virtual void run(const NoiseParams& noise, const NoiseRow* rows, const float* prefix,
                   std::uint16_t* y, std::uint16_t* x = nullptr) const = 0;
};

/// The noise of one layer, and what lies between it and the next convolution.
struct NoisyInput {
  NoiseParams noise;
  NoisyScaling scaling;
};

/// How the work of kernels/cuda/noisy_convolution.cu is shared out: a block does a square of pixels
/// of one row.
struct NoisyConvPlan {
  static constexpr int side = 16;  // of the square

  int h = 0, w = 0, out_c = 0, row_tiles = 0,
      tiles = 0;  ///< tiles of an image's width, of an image
  unsigned blocks = 0;

  /// Whether there is a kernel: 3 x 3 or 5 x 5, stride 1, as much padding on all sides as leaves
  /// the image's size, 16 or 32 channels to a multiple of 16. Neither the batch nor the device
  /// matters, since every instance fits all of them.
  static bool supports(const Conv2dShape& shape);

  /// Throws an Error where supports() is false.
  static void check_supported(const Conv2dShape& shape);

  /// Throws an Error where supports() is false, for noise that add_noise refuses, for a residual in
  /// single precision, for addresses that are not aligned to 16 bytes, and for more than 2^31 - 1
  /// blocks.
  static NoisyConvPlan make(const Conv2dShape& shape, const NoisyInput& input,
                            std::int64_t row_count, const float* prefix,
                            const std::uint16_t* weight, const ConvEpilogue& epilogue,
                            const void* y, const std::uint16_t* x);
};

// What NoisyConv2d does, for a batch of row_count whatever the shape's. Pixels outside the image
// are zero after everything.
//
// weight packed by pack_fragments (fragments.hpp); y in bf16 (std::uint16_t) or float; the
// epilogue's residual, if any, in bf16. All in device memory, and, like the epilogue's arrays,
// aligned to 16 bytes; scale and shift of the input of any alignment. `stream` is a cudaStream_t
// (in `emulated`, of the emulator). Returns before the work is done.
//
// A row depends on no other row. The sums have the order of conv2d_gemm, so that y has the bits of
// add_noise and the layers after it, one by one.
//
// prepare_noisy_conv2d packs the weight (OIHW) and copies what before and after point to, as work
// of the stream; changes after it are not seen. Throws an Error where NoisyConvPlan::supports is
// false.

PIXELDP_ON_DEVICES(  //
    template <class Output>
    void noisy_conv2d(void* stream, const Conv2dShape& shape, const NoisyInput& input,
                      const NoiseRow* rows, std::int64_t row_count, const float* prefix,
                      const std::uint16_t* weight, const ConvEpilogue& epilogue, Output* y,
                      std::uint16_t* x = nullptr);
    std::unique_ptr<NoisyConv2d> prepare_noisy_conv2d(void* stream, const Conv2dShape& shape,
                                                      const float* weight,
                                                      const NoisyScaling& before,
                                                      const NoisyScaling& after);)

}  // namespace pixeldp::kernels
