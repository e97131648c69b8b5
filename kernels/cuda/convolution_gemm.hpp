#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/activation.hpp"
#include "kernels/arch.hpp"
#include "kernels/convolution.hpp"
#include "kernels/cuda/on_devices.hpp"

/// Convolutions on tensor cores: operands in bf16 or tf32, sums in single precision; or in int8
/// (kernels/cuda/convolution_int8.hpp), by the same tiles. For what comes after the noise.
///
/// `Element` is what operands are stored as: std::uint16_t (the bits of a bf16), float (rounded to
/// tf32 on the way into the product) or std::int8_t. A chunk is 16 bytes of channels of one pixel:
/// 8 in bf16, 4 in tf32, 16 in int8. Channels that fill no chunk are filled up with zeros
/// (kernels/cuda/convolution_operands.hpp).
namespace pixeldp::kernels {

template <class Element>
inline constexpr int chunk_of = 16 / sizeof(Element);

/// What is done to a sum before it is written:
///
///   y = activation(fma(sum, scale[o], shift[o]) + residual)
///
/// and, where next is not null, of y before it is rounded, what the batch norm and the activation
/// that follow it make of it, which need not read it again then:
///
///   next = next_activation(next_scale[o] * y + next_shift[o])   in bf16
///
/// All in device memory; null: 1, 0 and 0. scale and shift (a bias, or a batch norm with fixed
/// statistics) have a value per channel of y, as have next_scale and next_shift, which are not
/// null. The residual, in bf16 or in single precision, has y's layout and is not y; there is at
/// most one. next has y's layout too; with it y may be null and is not written.
struct ConvEpilogue {
  const float* scale = nullptr;
  const float* shift = nullptr;
  const std::uint16_t* residual = nullptr;
  const float* residual_fp32 = nullptr;
  Activation activation = {};
  const float* next_scale = nullptr;
  const float* next_shift = nullptr;
  Activation next_activation = {};
  std::uint16_t* next = nullptr;
};

/// The part of the product that a block makes: m pixels, n channels, 4 chunks of products at a
/// time; a ring of `stages` such steps in shared memory; m_warps x n_warps warps.
struct ConvTile {
  int m, n, stages, m_warps, n_warps;
  /// Machine instructions of the main loop in bf16 or int8 for each mma, itself among them, on
  /// sm_80 or sm_90, whichever has more (tests/kernel_budgets.py holds the compiled kernels against
  /// it).
  double per_mma = 0.0;

  static constexpr int chunks = 4;
  constexpr int threads() const { return 32 * m_warps * n_warps; }
  constexpr bool operator==(const ConvTile&) const = default;
};

/// All of them fit every device, twice or more but for 128 x 160 on sm_86 and sm_89.
inline constexpr ConvTile conv_tiles[] = {{128, 128, 3, 2, 2, 2.54},
                                          {128, 64, 4, 2, 2, 3.7},
                                          {128, 32, 3, 4, 1, 6.0},
                                          {64, 64, 3, 2, 2, 5.7},
                                          {128, 160, 3, 2, 2, 2.34}};

/// What the kernel calculates, in its own terms: the forward convolution, or a part of a gradient.
///
///   y[first + n image + p row + q column + o] =
///       sum over r, s, c of x[n, p stride + r - pad_h, q stride + s - pad_w, c]
///                           * packed[weight_first + ((o kernel_h + r) kernel_w + s) in_c + c]
///
/// where the packed weight is OIHW's
///
///   weight[source + o source_o + c source_c + r source_r + s source_s], or 0 where c >= channels.
struct ConvPass {
  std::int64_t batch = 0, in_h = 0, in_w = 0, in_c = 0, out_h = 0, out_w = 0, out_c = 0;
  std::int64_t kernel_h = 0, kernel_w = 0, stride = 1, pad_h = 0, pad_w = 0;
  std::int64_t first = 0, image = 0, row = 0, column = 0, weight_first = 0;
  std::int64_t channels = 0, source = 0, source_o = 0, source_c = 0, source_r = 0, source_s = 0;

  /// in_c is the shape's, filled up to a multiple of `chunk`.
  static ConvPass forward(const Conv2dShape& shape, int chunk);

  /// dx from dy, whose channels are filled up to a multiple of `chunk`. With stride s, the pixels
  /// of dx fall into s^2 classes, by h and w modulo s, and each class is a convolution of dy, with
  /// stride 1, by the taps that reach it, reversed; a class that no tap reaches is zero. Classes
  /// without pixels are left out. The packed weights follow each other.
  static std::vector<ConvPass> backward_data(const Conv2dShape& shape, int chunk);

  std::int64_t weight_size() const { return out_c * kernel_h * kernel_w * in_c; }  ///< packed
  auto operator<=>(const ConvPass&) const = default;
};

/// Products of tensor cores in a clock of a multiprocessor, where 16 bytes of operands are `chunk`
/// values: tf32, which is half as fast as bf16, that, or bytes.
double products_per_clock(int chunk, const Arch& arch);

/// The least seconds that a pass takes with a tile, by what it needs of the device. They are
/// computed from Arch and never measured:
///
///   tensor  products of whole tiles
///   issue   instructions of the main loop, by one for each clock and quarter of a multiprocessor
///   shared  bytes of shared memory that ldmatrix reads and cp.async writes, by 128 for each clock
///   l2      bytes of operands, by the rate of the cache, and by 64 for each clock of a
///           multiprocessor
///   dram    x, weight and y, once
///
/// All but the last are those of the multiprocessor with the most blocks: the others wait for it.
struct ConvTime {
  double tensor = 0.0, issue = 0.0, shared = 0.0, l2 = 0.0, dram = 0.0;

  /// chunk: 16 bytes of operands, which decide of what kind the products are.
  static ConvTime of(const ConvPass& pass, int chunk, const ConvTile& tile, const Arch& arch);
  /// Of so many blocks by mma.sync, each of so many steps; `dram` is left out.
  static ConvTime of_blocks(std::int64_t blocks, std::int64_t steps, int chunk,
                            const ConvTile& tile, const Arch& arch);
  /// `dram`, which no tile changes.
  static double dram_of(const ConvPass& pass, int chunk, const Arch& arch);

  /// Of one thing after the other.
  ConvTime& operator+=(const ConvTime& more);

  /// If all goes on at the same time.
  double seconds() const { return std::max({tensor, issue, shared, l2, dram}); }
  /// If nothing does.
  double sum() const { return tensor + issue + shared + l2 + dram; }
};

/// That of conv_tiles with the least time and, among such, the least sum. The choice does not
/// change the result.
ConvTile choose_conv_tile(const ConvPass& pass, int chunk, const Arch& arch);

/// Whether four channels of y (y_bytes each), and of what its epilogue reads and writes, always lie
/// aligned together.
bool is_vectorised(const ConvPass& pass, const ConvEpilogue& epilogue, const void* y,
                   std::size_t y_bytes);

/// What the threads of kernels/cuda/convolution_gemm.cuh calculate with.
struct ConvPlan {
  std::int64_t pixels = 0;                ///< of y, all images
  std::int64_t x_image = 0;               ///< in chunks
  std::int64_t y_first = 0, y_image = 0;  ///< in elements
  int y_row = 0, y_column = 0;            ///< in elements
  int in_h = 0, in_w = 0, in_chunks = 0;  ///< in_chunks of one pixel
  int image_pixels = 0, out_w = 0, out_c = 0;
  int kernel_h = 0, kernel_w = 0, stride = 0, pad_h = 0, pad_w = 0;
  int taps_chunks = 0;                         ///< of all taps: a row of the weight
  int step_r = 0, step_s = 0, step_chunk = 0;  ///< four chunks further on
  int step_offset = 0;                         ///< the same in x, in chunks
  int row_offset = 0;  ///< from the tap behind a kernel's row to the next row's first, in chunks
  int channel_tiles = 0;
  unsigned blocks = 0;
  bool vectorised = false;  ///< four channels of y (and residual) always lie aligned together

  /// All but `vectorised`. Throws an Error where the tile is none of conv_tiles, where `pass`
  /// exceeds what the kernel's threads can count, or has channels that make no chunks, or where x
  /// or weight is not aligned to 16 bytes.
  static ConvPlan of_tiles(const ConvPass& pass, int chunk, const ConvTile& tile, const void* x,
                           const void* weight);
  /// Throws as of_tiles does. y_bytes: of an element.
  static ConvPlan make(const ConvPass& pass, int chunk, const ConvTile& tile, const void* x,
                       const void* weight, const ConvEpilogue& epilogue, const void* y,
                       std::size_t y_bytes);
};

// Calculates one pass with one of conv_tiles; Element is std::uint16_t (bf16) with Output
// std::uint16_t or float, or float (tf32) with Output float. Everything in device memory, `stream`
// a cudaStream_t (in `emulated`, of the emulator). x, weight and y begin where the whole
// tensors do, weight as packed above. Returns before the work is done. The result of an image does
// not depend on its neighbours or on the tile, to the last bit.

PIXELDP_ON_DEVICES(  //
    template <class Element, class Output>
    void conv2d_gemm(void* stream, const ConvPass& pass, const ConvTile& tile, const Element* x,
                     const Element* weight, const ConvEpilogue& epilogue, Output* y);)

}  // namespace pixeldp::kernels
