#pragma once

#include <cstdint>

#include "kernels/standardise.hpp"

namespace pixeldp::kernels {

/// How the work of kernels/cuda/standardise.cu is shared out: a warp for each image.
struct StandardiseGrid {
  static constexpr int block_warps = 4;
  unsigned blocks = 0;

  /// Throws an Error for negative counts, images of no values, or more than one launch can do.
  static StandardiseGrid plan(std::int64_t images, std::int64_t values);
};

// The operations of kernels/standardise.hpp with everything in device memory: the bits of the
// processor. `stream` is a cudaStream_t (of the emulator in the second case). They return before
// the work is done.

namespace cuda {
void standardise(void* stream, std::int64_t images, std::int64_t values, const float* x, float* y);
void standardise_backward(void* stream, std::int64_t images, std::int64_t values, const float* x,
                          const float* dy, float* dx);
}  // namespace cuda

namespace emulated {
void standardise(void* stream, std::int64_t images, std::int64_t values, const float* x, float* y);
void standardise_backward(void* stream, std::int64_t images, std::int64_t values, const float* x,
                          const float* dy, float* dx);
}  // namespace emulated

}  // namespace pixeldp::kernels
