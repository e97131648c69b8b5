#pragma once

#include <cstdint>

#include "kernels/ball.hpp"

namespace pixeldp::kernels {

/// How the work of kernels/cuda/ball.cu is shared out: a block for each picture.
struct BallGrid {
  static constexpr int block_threads = 256;
  unsigned blocks = 0;

  /// Throws an Error for more pictures than one launch can do.
  static BallGrid plan(const BallStepParams& params);
};

// step_in_ball has the same bits as on a processor.

}  // namespace pixeldp::kernels
