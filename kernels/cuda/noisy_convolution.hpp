#pragma once

#include <cstdint>

#include "kernels/convolution.hpp"
#include "kernels/cuda/convolution_gemm.hpp"
#include "kernels/noise.hpp"

namespace pixeldp::kernels {

/// The noise of one layer, and what lies between it and the next convolution: where scale is given
/// (a value per channel each, in device memory), a batch norm with fixed statistics and an
/// activation.
///
///   x = noise.activation(prefix + noise.scale * z)               as kernels/noise.hpp
///   x = activation(fma(x, scale[c], shift[c]))                   where scale is not null
struct NoisyInput {
  NoiseParams noise;
  const float* scale = nullptr;
  const float* shift = nullptr;
  Activation activation;
};

/// How the work of kernels/cuda/noisy_convolution.cu is shared out: a block does a square of pixels
/// of one row.
struct NoisyConvPlan {
  static constexpr int side = 16;  // of the square

  int h = 0, w = 0, out_c = 0, row_tiles = 0,
      tiles = 0;  ///< tiles of an image's width, of an image
  unsigned blocks = 0;

  /// Whether there is a kernel: 3 x 3 or 5 x 5, stride 1, as much padding on all sides as leaves
  /// the image's size, 16 or 32 channels to a multiple of 16. The batch does not matter.
  static bool supports(const Conv2dShape& shape);

  /// Throws an Error where supports() is false, for noise that add_noise refuses, for addresses
  /// that are not aligned to 16 bytes, and for more than 2^31 - 1 blocks.
  static NoisyConvPlan make(const Conv2dShape& shape, const NoisyInput& input,
                            std::int64_t row_count, const float* prefix,
                            const std::uint16_t* weight, const ConvEpilogue& epilogue,
                            const void* y, const std::uint16_t* x);
};

// y[r] = epilogue(x[r] (*) weight), x[r] being made of prefix[rows[r].source] and the noise that
// rows[r] addresses, see NoisyInput, and rounded to bf16. Pixels outside the image are zero after
// everything.
//
// prefix [any, h, w, in_c]; weight packed by pack_fragments (fragments.hpp); y [row_count, h, w,
// out_c] in bf16 (std::uint16_t) or float; x, where not null, gets the input of the convolution
// [row_count, h, w, in_c] in bf16, for who else reads it. All in device memory, and, like the
// epilogue's arrays, aligned to 16 bytes; scale and shift of the input of any alignment. `stream`
// is a cudaStream_t (of the emulator in the second case). Returns before the work is done.
//
// A row depends on no other row. The sums have the order of conv2d_bf16, so that y has the bits of
// add_noise and the layers after it, one by one.

namespace cuda {
template <class Output>
void noisy_conv2d(void* stream, const Conv2dShape& shape, const NoisyInput& input,
                  const NoiseRow* rows, std::int64_t row_count, const float* prefix,
                  const std::uint16_t* weight, const ConvEpilogue& epilogue, Output* y,
                  std::uint16_t* x = nullptr);
}

namespace emulated {
template <class Output>
void noisy_conv2d(void* stream, const Conv2dShape& shape, const NoisyInput& input,
                  const NoiseRow* rows, std::int64_t row_count, const float* prefix,
                  const std::uint16_t* weight, const ConvEpilogue& epilogue, Output* y,
                  std::uint16_t* x = nullptr);
}

}  // namespace pixeldp::kernels
