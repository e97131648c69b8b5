#pragma once

#include <cstdint>

#include "kernels/cuda/on_devices.hpp"

namespace pixeldp::kernels {

/// How the work of kernels/cuda/column_sums.cu is shared out: a block sums `block_columns` columns
/// of all rows, with `groups` partial sums each.
struct ColumnSumsGrid {
  static constexpr int block_columns = 32, groups = 32;
  unsigned blocks = 0;

  /// Throws an Error for more columns than one launch can do.
  static ColumnSumsGrid plan(std::int64_t rows, std::int64_t columns);
};

// sums[j] = sum over r of x[r, j], for x [rows, columns] and sums [columns] in device memory: the
// gradient in the bias of a dense layer. Sums are in fp32; a column's is always added up in the
// same order, whatever the other columns hold. No rows: all sums are 0. `stream` is a cudaStream_t
// (in `emulated`, of the emulator). Returns before the work is done.

PIXELDP_ON_DEVICES(  //
    void column_sums(void* stream, std::int64_t rows, std::int64_t columns, const float* x,
                     float* sums);)

}  // namespace pixeldp::kernels
