#pragma once

#include <cstdint>
#include <span>

#include "kernels/sgd.hpp"

namespace pixeldp::kernels {

/// What one launch of kernels/cuda/sgd.cu does, and how it is shared out: parameter k belongs to
/// the blocks from first_block[k] up to first_block[k + 1]. It travels as the kernel's argument,
/// which may have 4096 bytes.
struct SgdBatch {
  static constexpr int most_steps = 64;
  static constexpr int block_threads = 256, thread_elements = 4;
  static constexpr int block_elements = block_threads * thread_elements;
  /// Of one parameter. A larger one goes round: these blocks keep any GPU busy.
  static constexpr std::int64_t most_blocks = 1 << 12;

  SgdStep steps[most_steps];
  unsigned first_block[most_steps + 1] = {};
  int count = 0;

  unsigned blocks() const { return first_block[count]; }

  /// The first steps, as many as fit.
  static SgdBatch plan(std::span<const SgdStep> steps);
};
static_assert(sizeof(SgdBatch) <= 4096);

// sgd_steps has the same bits as on a processor.

}  // namespace pixeldp::kernels
