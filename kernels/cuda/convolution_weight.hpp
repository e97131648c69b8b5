#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/convolution_gemm.hpp"
#include "kernels/cuda/on_devices.hpp"

namespace pixeldp::kernels {

/// Partial sums of dweight, [splits, out_c, taps, filled_c], of which in_c channels of x count.
struct WeightSums {
  int out_c = 0, in_c = 0, filled_c = 0, taps = 0;
  unsigned splits = 0;

  int columns() const { return taps * filled_c; }
  /// Floats that they take.
  std::int64_t size() const { return std::int64_t{splits} * out_c * columns(); }
};

/// How kernels/cuda/convolution_weight.cu shares out the gradient in the weight. The sums over
/// all pixels are cut into `splits` ranges, whose partial sums are added in ascending order. The
/// splits are part of the order of the sums, so neither they nor the tile, which they follow from,
/// depend on the device. Both tiles fit every device.
struct ConvWeightPlan {
  /// m: channels of dy; n: products of a tap and a channel of x; step_pixels at a time.
  static constexpr ConvTile tiles[] = {{128, 128, 3, 2, 2, 2.7}, {64, 64, 3, 2, 2, 5.8}};
  /// As many bytes in bf16 and in tf32.
  static constexpr int step_pixels(int chunk) { return ConvTile::chunks * chunk; }

  /// A thread brings chunks of the same pixel of each step. Its chunks of dy and x, in chunks, and
  /// its position in x move by so much, first all the same, then also at the end of a row and of an
  /// image.
  struct Move {
    int dy = 0, x = 0, row_x = 0, image_x = 0;
    int h = 0, w = 0, row_w = 0, image_h = 0;
  };

  std::size_t tile = 0;
  std::int64_t pixels = 0, split_pixels = 0;  ///< of dy; of a split, a multiple of step_pixels
  std::int64_t x_image = 0;                   ///< in chunks
  int in_h = 0, in_w = 0, in_c = 0, out_h = 0, out_w = 0, out_c = 0;
  int in_chunks = 0, out_chunks = 0;  ///< of one pixel of x and dy
  int taps = 0, kernel_w = 0, stride = 0, pad_h = 0, pad_w = 0;
  int columns = 0;  ///< of all taps, with the channels that fill up chunks of x
  int column_tiles = 0;
  unsigned tile_blocks = 0, splits = 0;
  Move move;

  WeightSums sums() const { return {out_c, in_c, columns / taps, taps, splits}; }
  std::int64_t workspace_size() const { return sums().size(); }

  /// Throws an Error for what is no convolution, for extents that the kernel's threads cannot
  /// count, and for operands not aligned to 16 bytes. The splits depend on the shape and the chunk
  /// alone.
  static ConvWeightPlan make(const Conv2dShape& shape, int chunk, const void* x = nullptr,
                             const void* dy = nullptr);
};

/// The time of the gradient by mma.sync, as ConvTime has it; `l2` with partial sums, which are
/// written and read again.
ConvTime weight_gradient_time(const Conv2dShape& shape, int chunk, const Arch& arch);

/// Parts of that: partial sums, and x, dy and the gradient from or to memory, once.
double partial_sums_time(const WeightSums& sums, const Arch& arch);
double weight_gradient_dram(const Conv2dShape& shape, int chunk, const Arch& arch);

// dweight (OIHW, single precision) = gradient in the weight, from x [batch, in_h, in_w, in_c] and
// dy [batch, out_h, out_w, out_c], aligned to 16 bytes, the channels of both filled up to whole
// chunks with zeros; Element is std::uint16_t (bf16) or float (tf32). Everything in device memory,
// `workspace` of ConvWeightPlan::make(shape, chunk_of<Element>).workspace_size() floats, aligned to
// 16 bytes; `stream` as in convolution_gemm.hpp. Overwrites dweight; returns before the work is
// done. The same bits every time.
//
// add_weight_splits: dweight, OIHW, from partial sums, which are added in ascending order; what
// fills up channels is dropped.

PIXELDP_ON_DEVICES(  //
    void add_weight_splits(void* stream, const WeightSums& sums, const float* partial,
                           float* dweight);
    template <class Element>
    void conv2d_gemm_backward_weight(void* stream, const Conv2dShape& shape, const Element* x,
                                     const Element* dy, float* workspace, float* dweight);)

}  // namespace pixeldp::kernels
