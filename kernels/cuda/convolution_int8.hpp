#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/arch.hpp"
#include "kernels/convolution.hpp"
#include "kernels/cuda/int8_values.hpp"

/// Convolutions in int8 on tensor cores (kernels/inference.hpp): for what comes after the noise.
namespace pixeldp::kernels {

/// What is done to a sum before it is written, each operation rounded once, in this order:
///
///   value = activation(sum * scale[o] + shift[o] + residual)                       to y
///   next_activation(value * next_scale[o] + next_shift[o])                         to next
///
/// All in device memory. scale has a value per channel and is not null; shift, null: 0. A residual,
/// null: none, has the layout of y, as have all targets. Where next is somewhere, next_scale and
/// next_shift are not null.
struct Int8Epilogue {
  const float* scale = nullptr;
  const float* shift = nullptr;
  const float* residual = nullptr;
  Activation activation = {};
  Int8Target y = {};
  const float* next_scale = nullptr;
  const float* next_shift = nullptr;
  Activation next_activation = {};
  Int8Target next = {};

  constexpr bool writes_next() const { return next.real != nullptr || next.bytes != nullptr; }
};

/// The part of the product that a block makes: m pixels, n channels, `chunks` times 16 products at
/// a time; a ring of `stages` such steps in shared memory; m_warps x n_warps warps.
struct Int8ConvTile {
  int m, n, stages, m_warps, n_warps;

  static constexpr int chunks = 4;
  constexpr int threads() const { return 32 * m_warps * n_warps; }
  constexpr bool operator==(const Int8ConvTile&) const = default;
};

inline constexpr Int8ConvTile int8_conv_tiles[] = {
    {128, 64, 4, 2, 2}, {128, 32, 4, 4, 1}, {64, 64, 4, 2, 2}};

/// The tile for a product of so many pixels and channels: that of the least time, in units of the
/// tensor cores' time for one pixel, channel and product. A block takes m n for its products and
/// f (m + n) to bring the operands, where a byte comes in the time of f products: a multiprocessor
/// gets 64 bytes from the L2 cache per clock, and multiplies twice as many bytes as bf16. As many
/// blocks run at a time as there are multiprocessors. The choice does not change the result.
Int8ConvTile choose_int8_tile(std::int64_t pixels, std::int64_t channels, const Arch& arch);

/// What the threads of kernels/cuda/convolution_int8.cu calculate with. A chunk is 16 channels of a
/// pixel.
struct Int8ConvPlan {
  std::int64_t pixels = 0;                ///< of y, all images
  std::int64_t image_chunks = 0;          ///< of x
  int in_h = 0, in_w = 0, in_chunks = 0;  ///< in_chunks of one pixel
  int image_pixels = 0, out_w = 0, out_c = 0;
  int kernel_w = 0, stride = 0, pad_h = 0, pad_w = 0;
  int taps_chunks = 0;                         ///< of all taps: a row of the weight
  int step_r = 0, step_s = 0, step_chunk = 0;  ///< Int8ConvTile::chunks further on
  int channel_tiles = 0;
  unsigned blocks = 0;
  /// Four channels of residuals and reals always lie aligned together.
  bool vectorised = false;

  /// Throws an Error for what is no convolution, a tile that is none of int8_conv_tiles, what
  /// exceeds what the kernel's threads can count, operands that are not aligned to 16 bytes, an
  /// epilogue without scales, and bytes that are not aligned to 4 or whose pixels are no multiples
  /// of that.
  static Int8ConvPlan make(const Conv2dShape& shape, const Int8ConvTile& tile, const void* x,
                           const void* weight, const Int8Epilogue& epilogue);
};

/// OIHW as the kernel reads it: [out_c, kernel_h, kernel_w, int8_channels(in_c)].
std::vector<std::int8_t> pack_int8_weight(const Conv2dShape& shape,
                                          std::span<const std::int8_t> weight);
/// How many bytes that are.
std::int64_t packed_int8_size(const Conv2dShape& shape);

// x [batch, in_h, in_w, int8_channels(in_c)] and weight packed, both aligned to 16 bytes; targets
// [batch, out_h, out_w, out_c]. Everything in device memory, `stream` a cudaStream_t (of the
// emulator in the second case). Returns before the work is done. Sums are exact as long as 32 bits
// hold them, so that no result depends on the tile, or on the other images.

namespace cuda {
void conv2d_int8(void* stream, const Conv2dShape& shape, const Int8ConvTile& tile,
                 const std::int8_t* x, const std::int8_t* weight, const Int8Epilogue& epilogue);
}
namespace emulated {
void conv2d_int8(void* stream, const Conv2dShape& shape, const Int8ConvTile& tile,
                 const std::int8_t* x, const std::int8_t* weight, const Int8Epilogue& epilogue);
}

}  // namespace pixeldp::kernels
