#pragma once

#include <cstdint>
#include <initializer_list>

#include "kernels/batch_norm.hpp"
#include "kernels/formulas/batch_norm.hpp"

namespace pixeldp::kernels {

/// How the work of kernels/cuda/batch_norm.cu is shared out: over the tensors, a block to each
/// channel tile and split of the order; over the sums of splits, a block to 32 channels.
struct BatchNormGrid {
  static constexpr int merge_channels = BatchNormOrder::block_threads / BatchNormOrder::merge_lanes;

  BatchNormOrder order;
  std::int64_t rows = 0, channels = 0;
  unsigned tiles = 0, splits = 0, merge_blocks = 0;
  bool vectorised = false;  ///< four channels of every tensor are always 16 aligned bytes

  /// Throws an Error for more channels than one launch can do.
  static BatchNormGrid plan(const BatchNormParams& params,
                            std::initializer_list<const void*> tensors);
};

// Results have the bits of the processor, except that one which is not a number may be another.

}  // namespace pixeldp::kernels
