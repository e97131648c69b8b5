#pragma once

#include <cstdint>

#include "kernels/noise.hpp"

namespace pixeldp::kernels {

/// How the work of kernels/cuda/noise.cu is shared out.
struct NoiseGrid {
  static constexpr int warp_threads = 32, block_threads = 256;
  static constexpr int block_warps = block_threads / warp_threads;
  /// A warp makes the noise of up to this many elements of one row: eight turns of 128.
  static constexpr std::int64_t segment_elements = 1024;

  /// Blocks: one for each block_warps rows, and one for each segment of a row up to 1024, beyond
  /// which a warp goes on to further segments.
  unsigned row_blocks = 0, segment_blocks = 0;
  bool vectorised = false;  ///< four elements are always 16 aligned bytes

  static NoiseGrid plan(std::int64_t row_count, std::int64_t elements, const float* prefix,
                        const float* y);
};

// add_noise has the same bits as on a processor, except that a result which is not a number is
// always 0x7fffffff.

}  // namespace pixeldp::kernels
