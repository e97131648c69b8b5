#pragma once

#include <cstdint>
#include <memory>

#include "kernels/cuda/convolution_gemm.hpp"
#include "kernels/noisy_convolution.hpp"

namespace pixeldp::kernels {

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

  /// Throws the Errors of prepare_noisy_conv2d.
  static void check_prepared(const Conv2dShape& shape, const Conv2dEpilogue& epilogue);

  /// Throws an Error where supports() is false, for noise that add_noise refuses, for a residual in
  /// single precision, for addresses that are not aligned to 16 bytes, and for more than 2^31 - 1
  /// blocks.
  static NoisyConvPlan make(const Conv2dShape& shape, const NoisyInput& input,
                            std::int64_t row_count, const float* prefix,
                            const std::uint16_t* weight, const ConvEpilogue& epilogue,
                            const void* y, const std::uint16_t* x);
};

// What NoisyConv2d does (kernels/noisy_convolution.hpp), for a batch of row_count whatever the
// shape's. Pixels outside the image are zero after everything.
//
// weight packed by pack_fragments (fragments.hpp); y in bf16 (std::uint16_t) or float; the
// epilogue's residual, if any, in bf16. All in device memory, and, like the epilogue's arrays,
// aligned to 16 bytes; scale and shift of the input of any alignment. `stream` is a cudaStream_t
// (of the emulator in the second case). Returns before the work is done.
//
// A row depends on no other row. The sums have the order of conv2d_gemm, so that y has the bits of
// add_noise and the layers after it, one by one.
//
// prepare_noisy_conv2d is kernels::prepare_noisy_conv2d with such a stream.

namespace cuda {
template <class Output>
void noisy_conv2d(void* stream, const Conv2dShape& shape, const NoisyInput& input,
                  const NoiseRow* rows, std::int64_t row_count, const float* prefix,
                  const std::uint16_t* weight, const ConvEpilogue& epilogue, Output* y,
                  std::uint16_t* x = nullptr);
std::unique_ptr<NoisyConv2d> prepare_noisy_conv2d(void* stream, const Conv2dShape& shape,
                                                  const float* weight, const NoisyScaling& scaling,
                                                  const Conv2dEpilogue& epilogue);
}  // namespace cuda

namespace emulated {
template <class Output>
void noisy_conv2d(void* stream, const Conv2dShape& shape, const NoisyInput& input,
                  const NoiseRow* rows, std::int64_t row_count, const float* prefix,
                  const std::uint16_t* weight, const ConvEpilogue& epilogue, Output* y,
                  std::uint16_t* x = nullptr);
std::unique_ptr<NoisyConv2d> prepare_noisy_conv2d(void* stream, const Conv2dShape& shape,
                                                  const float* weight, const NoisyScaling& scaling,
                                                  const Conv2dEpilogue& epilogue);
}  // namespace emulated

}  // namespace pixeldp::kernels
