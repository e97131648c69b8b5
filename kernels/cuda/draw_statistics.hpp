#pragma once

#include <cstdint>

#include "kernels/draw_statistics.hpp"

namespace pixeldp::kernels {

/// How the work of kernels/cuda/draw_statistics.cu is shared out: a warp does `warp_rows` rows, and
/// `warps` warps make a block, which has room for the logits and the sums of `capacity` classes.
struct StatisticsGrid {
  static constexpr int warp_rows = 4;
  struct Shape {
    int capacity, warps;
  };
  /// 161 KB of shared memory at most; an A100 has 163. The first shape that fits is taken.
  static constexpr Shape shapes[] = {{16, 8}, {128, 8}, {1024, 4}, {4096, 1}};

  Shape shape = {};
  unsigned blocks = 0;

  /// Throws an Error for more classes or more rows than one launch can do.
  static StatisticsGrid plan(const DrawStatisticsParams& params);
};

// draw_statistics, for up to 4096 classes, adds the same integers as on a processor.

}  // namespace pixeldp::kernels
