#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/arch.hpp"
#include "kernels/parseval.hpp"

namespace pixeldp::kernels {

/// How the work of kernels/cuda/parseval.cu is done: in a single launch of one block, where
/// matrices and weight fit into its shared memory, and the device has that much; otherwise by whole
/// grids, with two launches for each loop and one more. Both give the same bits.
struct ParsevalPlan {
  static constexpr int matrices = 6;
  static constexpr int most_shared_side = 48, most_shared_size = 256 * 48;
  /// The matrices, of doubles, and a weight of floats: 156 KB.
  static constexpr std::size_t shared_bytes =
      matrices * sizeof(double[most_shared_side * most_shared_side]) +
      sizeof(float[most_shared_size]);
  static constexpr int most_side = 1 << 15;
  static constexpr int block_threads = 512, grid_threads = 256;
  static constexpr int most_blocks = 1024;

  int side = 0;            ///< n, of the Gram matrix
  bool wide = false;       ///< the rows are the smaller side
  bool one_block = false;  ///< else grids of:
  unsigned blocks = 0;

  /// Throws an Error for a Gram matrix of more than most_side rows.
  static ParsevalPlan make(std::int64_t rows, std::int64_t cols, const Arch& arch);
};

// parseval_project has the same bits as on a processor.

}  // namespace pixeldp::kernels
