#pragma once

#include <cstdint>

#include "kernels/slice_norms.hpp"

namespace pixeldp::kernels {

/// How the work of kernels/cuda/slice_norms.cu is shared out: a block for each slice.
struct SliceNormGrid {
  static constexpr int block_threads = 256;
  unsigned blocks = 0;

  /// Throws an Error for more slices than one launch can do.
  static SliceNormGrid plan(const SliceNormParams& params);
};

// normalise_slices has the same bits as on a processor.

}  // namespace pixeldp::kernels
