#pragma once

#include <cstdint>

#include "kernels/cpu/inference_kernels.hpp"

namespace pixeldp::kernels::cpu {

/// Outputs (channels of a convolution's result, or features of a dense layer's) come in groups of
/// so many, the last one filled up: 32-bit sums of one group are 64 bytes.
inline constexpr std::int64_t group_outputs = 16;

/// The epilogue of a product, and where its results go: position p's outputs lie at p * outputs of
/// target and residual.
struct ProductEpilogue {
  std::int64_t outputs = 0;
  const float* scale = nullptr;  ///< of sums of integers; whole groups
  const float* shift = nullptr;  ///< whole groups
  float slope = 1.0f;
  const void* residual = nullptr;  ///< of the target's kind; null: none
  Real to = Real::fp32;
  InferenceTarget target = {};
};

/// A pixel of a result, or a row of a dense layer.
struct ProductPosition {
  std::int64_t at = 0;            ///< the first word of its window
  std::int32_t from = 0, to = 0;  ///< the rows of the window that are not all padding
};

/// Sums of products for many positions. What is multiplied comes in words of 32 bits: a float, two
/// of bf16 or of 16 bits, or four bytes. The sum of output o at position p is that of
///
///   dot(images[positions[p].at + r row_stride + i], weight[o / 16][r][i][o % 16])
///
/// for all r < rows, i < run, one after the other in that order, whatever the instruction set:
///
///   fp32  sum = fma(x, w, sum), from 0
///   bf16  the instruction VDPBF16PS, from 0
///   int8  exact, from the start of the rows that are summed; of bytes, or of pairs of 16 bits
///
/// but for rows of padding, which may be left out: nothing but the sign of a 0 could tell.
struct ProductSweep {
  const std::uint32_t* images = nullptr;
  const ProductPosition* positions = nullptr;
  std::int64_t count = 0;  ///< of positions
  std::int64_t rows = 0, run = 0, row_stride = 0;
  const std::uint32_t* weight = nullptr;  ///< aligned to 64 bytes
  std::int64_t groups = 0;
  /// int8: [first row, row past the last, output], whole groups, for all rows 0 ... `rows`.
  const std::int32_t* start = nullptr;
  ProductEpilogue epilogue;
};

using SweepFunction = void (*)(const ProductSweep& sweep);

/// Those of one instruction set. Null: it has none of its own.
struct ProductKernels {
  SweepFunction fp32 = nullptr, bf16 = nullptr, int8 = nullptr, int16 = nullptr;
  /// y = x - zero_byte
  void (*widen)(std::int64_t count, const std::uint8_t* x, std::int16_t* y) = nullptr;
};

/// AVX-512 with VNNI (int8) and with BF16 (bf16), which not every processor with AVX-512 has.
extern const ProductKernels avx512_dot_products;
/// AVX-VNNI: int8.
extern const ProductKernels avx_vnni_products;

/// AMX multiplies so many positions at once by so many words.
inline constexpr std::int64_t tile_positions = 16, tile_words = 16;

/// Some positions, evenly spaced.
struct PositionTile {
  ProductPosition first;
  std::int64_t result = 0;  ///< the first one's number
};

/// A sweep of bytes whose positions come in tiles, `count` of them. Of the run each tile_words
/// words are multiplied at once, or fewer if it is shorter; it is whole multiples of that.
struct TileSweep : ProductSweep {
  const PositionTile* tiles = nullptr;
  std::int64_t tile_rows = 0;    ///< positions of each tile, at most tile_positions
  std::int64_t x_step = 0;       ///< words from one position of a tile to the next
  std::int64_t result_step = 0;  ///< and by how much their numbers differ
};

/// By AMX, with the results of any other sweep of the same positions.
void amx_sweep(const TileSweep& sweep);

}  // namespace pixeldp::kernels::cpu
