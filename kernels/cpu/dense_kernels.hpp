#pragma once

#include <cstdint>

#include "kernels/cpu/product_kernels.hpp"

namespace pixeldp::kernels::cpu {

/// Rows that share one pass over the weight of a dense layer.
inline constexpr std::int64_t dense_rows = 64;

/// Some rows of a dense layer: each sum is that of ProductSweep, in the same order.
struct DenseBlock {
  const std::uint32_t* x = nullptr;  ///< [count, words]: floats, or pairs of 16 bits
  std::int64_t words = 0;
  std::int64_t first = 0, count = 0;  ///< of the result's rows
  /// [words, a panel at a time][group of outputs][word of the panel][output of the group]
  const std::uint32_t* weight = nullptr;  ///< aligned to 64 bytes
  /// Scratch. No multiple of the size of a page apart, or all rows of an output would share one
  /// place in the cache.
  std::uint32_t* sums = nullptr;
  std::int64_t sum_stride = 0;
  ProductEpilogue epilogue;  ///< of whole groups, to fp32
};

using DenseFunction = void (*)(const DenseBlock& block);

/// Those of one instruction set.
struct DenseKernels {
  DenseFunction fp32, int16;
  std::int64_t panel_words;
};

}  // namespace pixeldp::kernels::cpu
