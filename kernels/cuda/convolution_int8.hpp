#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/arch.hpp"
#include "kernels/convolution.hpp"
#include "kernels/cuda/convolution_gemm.hpp"
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
  /// Whether four of so many channels of residuals and reals always lie aligned together.
  bool is_vectorised(std::int64_t channels) const;
  /// Why no kernel can do this with sums of so many channels: scales that are not there, bytes that
  /// are not aligned to 4 or whose pixels are no multiples of that. Empty: it can.
  std::string_view obstacle(std::int64_t channels) const;
};

/// A chunk is 16 channels of a pixel. per_mma is of the loop in int8.
inline constexpr ConvTile int8_conv_tiles[] = {
    {128, 64, 4, 2, 2, 5.4}, {128, 32, 4, 4, 1, 8.8}, {64, 64, 4, 2, 2, 7.3}};

/// What a multiprocessor gets from the L2 cache in a clock.
inline constexpr double l2_bytes_per_clock = 64.0;

/// The clocks of a tile for each of the products of a sum. A block takes those of its m n products,
/// of which mma.sync makes two thirds where there are products of warpgroups, and those in which
/// its m + n bytes come; as many blocks run at a time as there are multiprocessors.
double int8_tile_clocks(const ConvTile& tile, std::int64_t pixels, std::int64_t channels,
                        const Arch& arch);
/// That of the least clocks. The choice does not change the result.
ConvTile choose_int8_tile(std::int64_t pixels, std::int64_t channels, const Arch& arch);

/// What makes a convolution: warpgroups, by tiles of so many channels (WgmmaInt8Time), or, where
/// there are none, mma.sync by this tile.
struct Int8ConvKernel {
  int wgmma_channels = 0;
  ConvTile tile;

  /// Of the least clocks, with all taps. The choice does not change the result.
  static Int8ConvKernel choose(const Conv2dShape& shape, const Arch& arch);
  bool operator==(const Int8ConvKernel&) const = default;
};

/// What the threads of kernels/cuda/convolution_int8.cu calculate with. A chunk is 16 channels of a
/// pixel.
struct Int8ConvPlan {
  std::int64_t pixels = 0;                ///< of y, all images
  std::int64_t image_chunks = 0;          ///< of x
  int in_h = 0, in_w = 0, in_chunks = 0;  ///< in_chunks of one pixel
  int image_pixels = 0, out_w = 0, out_c = 0;
  int kernel_w = 0, stride = 0, pad_h = 0, pad_w = 0;
  int taps_chunks = 0;                         ///< of all taps: a row of the weight
  int step_r = 0, step_s = 0, step_chunk = 0;  ///< ConvTile::chunks further on
  int channel_tiles = 0;
  unsigned blocks = 0;
  /// Four channels of residuals and reals always lie aligned together.
  bool vectorised = false;

  /// Throws an Error for what is no convolution, a tile that is none of int8_conv_tiles, what
  /// exceeds what the kernel's threads can count, operands that are not aligned to 16 bytes, and an
  /// epilogue with an obstacle.
  static Int8ConvPlan make(const Conv2dShape& shape, const ConvTile& tile, const void* x,
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
// hold them, so that no result depends on the tile, on the kernel, or on the other images.

namespace cuda {
void conv2d_int8(void* stream, const Conv2dShape& shape, const ConvTile& tile, const std::int8_t* x,
                 const std::int8_t* weight, const Int8Epilogue& epilogue);
void conv2d_int8(void* stream, const Conv2dShape& shape, const Int8ConvKernel& kernel,
                 const std::int8_t* x, const std::int8_t* weight, const Int8Epilogue& epilogue);
}  // namespace cuda
namespace emulated {
void conv2d_int8(void* stream, const Conv2dShape& shape, const ConvTile& tile, const std::int8_t* x,
                 const std::int8_t* weight, const Int8Epilogue& epilogue);
void conv2d_int8(void* stream, const Conv2dShape& shape, const Int8ConvKernel& kernel,
                 const std::int8_t* x, const std::int8_t* weight, const Int8Epilogue& epilogue);
}  // namespace emulated

}  // namespace pixeldp::kernels
