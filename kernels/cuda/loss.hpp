#pragma once

#include <cstdint>

#include "kernels/loss.hpp"

namespace pixeldp::kernels {

/// How the work of kernels/cuda/loss.cu is shared out: a warp for each row.
struct LossGrid {
  static constexpr int block_warps = 8;
  unsigned blocks = 0;

  /// Throws an Error for negative counts, or more rows than one launch can do.
  static LossGrid plan(std::int64_t rows, std::int64_t classes);
};

// kernels::softmax_cross_entropy with everything, labels and *result too, in device memory. Sums
// are in the order of the processor's, and so the results differ by what exp and log do: the
// emulated bits are the processor's, a GPU's loss is within 1e-14 of it, relatively, and its
// gradient within the last digit. `stream` is a cudaStream_t (of the emulator in the second case).
// Returns before the work is done.

namespace cuda {
void softmax_cross_entropy(void* stream, std::int64_t rows, std::int64_t classes,
                           const float* logits, const std::int32_t* labels, float* dlogits,
                           LossResult* result);
}

namespace emulated {
void softmax_cross_entropy(void* stream, std::int64_t rows, std::int64_t classes,
                           const float* logits, const std::int32_t* labels, float* dlogits,
                           LossResult* result);
}

}  // namespace pixeldp::kernels
