#pragma once

#include <cstdint>

#include "kernels/standardise.hpp"

namespace pixeldp::kernels {

/// How the work of kernels/cuda/standardise.cu is shared out: a warp for each image.
struct StandardiseGrid {
  static constexpr int block_warps = 4;
  unsigned blocks = 0;

  /// Throws an Error for more images than one launch can do.
  static StandardiseGrid plan(std::int64_t images);
};

// standardise and standardise_backward have the bits of the processor.

}  // namespace pixeldp::kernels
