#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/arch.hpp"
#include "kernels/draw_statistics.hpp"

namespace pixeldp::kernels {

/// How the work of kernels/cuda/draw_statistics.cu is shared out: a warp does `warp_rows` rows, and
/// `warps` warps make a block, which has room for the logits and the sums of `capacity` classes.
struct StatisticsGrid {
  static constexpr int warp_rows = 4;
  struct Shape {
    int capacity, warps;
    std::size_t shared_bytes;
  };
  /// The first shape that has room for the classes is taken. The integers do not depend on it.
  static constexpr Shape shapes[] = {
      {16, 8, 2432}, {128, 8, 21504}, {1024, 4, 91136}, {4096, 1, 164096}};

  Shape shape = {};
  unsigned blocks = 0;

  /// Throws an Error for more classes or more rows than one launch can do on this device: all have
  /// the shared memory for 1024 classes.
  static StatisticsGrid plan(const DrawStatisticsParams& params, const Arch& arch);
};

// draw_statistics, for up to 4096 classes, adds the same integers as on a processor.

}  // namespace pixeldp::kernels
