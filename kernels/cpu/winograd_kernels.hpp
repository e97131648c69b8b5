#pragma once

#include <cstdint>

#include "kernels/cpu/product_kernels.hpp"

namespace pixeldp::kernels::cpu {

/// A tile is so many outputs high and wide, made of so many values of the input, and so many tiles
/// are multiplied together: enough for each read of the weight.
inline constexpr int winograd_outputs = 4, winograd_inputs = 6, winograd_tiles = 64;
inline constexpr int winograd_positions = winograd_inputs * winograd_inputs;

/// Some tiles of a convolution by F(4x4, 3x3) of Winograd's minimal filtering (Lavin and Gray,
/// "Fast algorithms for convolutional neural networks", CVPR 2016):
///
///   y = At [sum over c of (G w[c] Gt) * (Bt x[c] B)] A
///
/// for each 4x4 outputs, from 6x6 inputs x[c] of each channel, * element by element. One with
/// stride `step` is one with stride 1 over the step x step pixels of its phases: channel
/// (dy step + dx) in_c + c is pixel (step h + dy, step w + dx)'s channel c.
///
/// The order, whatever the instruction set: Bt x[c] B by columns, then by rows; sums one fma after
/// the other by channel, from 0; At [...] A by columns, then by rows; all as in
/// kernels/cpu/simd_winograd.hpp.
struct WinogradBlock {
  const void* x = nullptr;  ///< the first row: [in_h, in_w, in_c], floats, bf16 or bytes
  std::int64_t in_h = 0, in_w = 0, in_c = 0, out_h = 0, out_w = 0;
  std::int64_t step = 1, top = 0, left = 0;  ///< stride, and the padding before
  std::int64_t first = 0, count = 0;         ///< tiles: [row, tiles down, tiles across]
  const void* padding = nullptr;             ///< a pixel of it
  /// [position][words, a panel at a time][group of outputs][word of the panel][output of the group]
  const std::uint32_t* weight = nullptr;  ///< aligned to 64 bytes
  const std::int64_t* words = nullptr;    ///< of each position: of channels that have weights
  std::uint32_t* scratch = nullptr;       ///< winograd_positions + 1 slabs
  /// Words of a slab: what is multiplied at one position, and later its sums, which take the place
  /// of what was multiplied at the position before. No multiple of the size of a page, or all
  /// positions of a value would share one place in the cache.
  std::int64_t slab = 0;
  ProductEpilogue epilogue;  ///< of whole groups, to fp32; of bf16 to bf16, too
};

using WinogradFunction = void (*)(const WinogradBlock& block);

/// Those of one instruction set, by what they read. Null: it has none of its own.
struct WinogradKernels {
  WinogradFunction fp32, bf16, int8;
  std::int64_t panel_words;  ///< that stay in the first cache while all tiles pass
};

/// Of bytes, by AVX-512 with VNNI, which not every processor with AVX-512 has.
extern const WinogradKernels avx512_dot_winograd;
/// Of bytes, by AVX-VNNI.
extern const WinogradKernels avx_vnni_winograd;

}  // namespace pixeldp::kernels::cpu
