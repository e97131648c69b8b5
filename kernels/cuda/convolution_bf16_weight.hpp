#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/convolution_bf16.hpp"

namespace pixeldp::kernels {

/// How kernels/cuda/convolution_bf16_weight.cu shares out the gradient in the weight. The sums over
/// all pixels are cut into `splits` ranges, whose partial sums are added in ascending order.
struct ConvWeightPlan {
  /// m: channels of dy; n: products of a tap and a channel of x; k: pixels at a time.
  static constexpr ConvTile tiles[] = {{128, 128, 4, 2, 2}, {64, 64, 4, 2, 2}};

  std::size_t tile = 0;
  std::int64_t pixels = 0, split_pixels = 0;  ///< of dy; of a split, a multiple of ConvTile::k
  std::int64_t x_image = 0;                   ///< in elements
  int in_h = 0, in_w = 0, in_c = 0, out_h = 0, out_w = 0, out_c = 0;
  int taps = 0, kernel_w = 0, stride = 0, pad_h = 0, pad_w = 0;
  int column_tiles = 0;
  unsigned tile_blocks = 0, splits = 0;

  int columns() const { return taps * in_c; }
  /// Floats that the partial sums take.
  std::int64_t workspace_size() const { return std::int64_t{splits} * out_c * columns(); }

  /// Throws an Error for what is no convolution, for channels of x or dy that are no multiple of 8,
  /// for extents that the kernel's threads cannot count, and for operands not aligned to 16 bytes.
  /// The splits depend on the shape alone.
  static ConvWeightPlan make(const Conv2dShape& shape, const void* x = nullptr,
                             const void* dy = nullptr);
};

// dweight (OIHW, single precision) = gradient in the weight, from x [batch, in_h, in_w, in_c] and
// dy [batch, out_h, out_w, out_c], both bf16, aligned to 16 bytes. Everything in device memory,
// `workspace` of ConvWeightPlan::make(shape).workspace_size() floats, aligned to 8 bytes; `stream`
// as in convolution_bf16.hpp. Overwrites dweight; returns before the work is done. The same bits
// every time.

namespace cuda {
void conv2d_bf16_backward_weight(void* stream, const Conv2dShape& shape, const std::uint16_t* x,
                                 const std::uint16_t* dy, float* workspace, float* dweight);
}

namespace emulated {
void conv2d_bf16_backward_weight(void* stream, const Conv2dShape& shape, const std::uint16_t* x,
                                 const std::uint16_t* dy, float* workspace, float* dweight);
}

}  // namespace pixeldp::kernels
