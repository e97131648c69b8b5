#pragma once

#include <cstdint>

#include "kernels/loss.hpp"

namespace pixeldp::kernels {

/// How the work of kernels/cuda/loss.cu is shared out: a warp for each row.
struct LossGrid {
  static constexpr int block_warps = 8;
  unsigned blocks = 0;

  /// Throws an Error for more rows than one launch can do.
  static LossGrid plan(std::int64_t rows);
};

// Sums of softmax_cross_entropy are in the order of the processor's, and so the results differ by
// what exp and log do: the emulated bits are the processor's, a GPU's loss is within 1e-14 of it,
// relatively, and its gradient within the last digit.

}  // namespace pixeldp::kernels
