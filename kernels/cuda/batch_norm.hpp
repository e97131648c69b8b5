#pragma once

#include <cstdint>
#include <initializer_list>

#include "kernels/batch_norm.hpp"
#include "kernels/batch_norm_formulas.hpp"

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

// The operations of kernels/batch_norm.hpp with everything in device memory: the bits of the
// processor, except that a result which is not a number may be another one. `stream` is a
// cudaStream_t (of the emulator in the second case). They return before the work is done.

namespace cuda {
void batch_norm_forward(void* stream, const BatchNormParams& params, const float* x,
                        const float* gamma, const float* beta, float* running_mean,
                        float* running_variance, float* mean, float* invstd, float* y,
                        float* workspace);
void batch_norm_backward(void* stream, const BatchNormParams& params, const float* x,
                         const float* mean, const float* invstd, const float* gamma,
                         const float* beta, const float* dy, float* dx, float* dgamma, float* dbeta,
                         float* workspace);
void fold_batch_norm(void* stream, const BatchNormParams& params, const float* gamma,
                     const float* beta, const float* running_mean, const float* running_variance,
                     float* scale, float* shift);
void batch_norm_inference(void* stream, const BatchNormParams& params, const float* x,
                          const float* scale, const float* shift, float* y);
}  // namespace cuda

namespace emulated {
void batch_norm_forward(void* stream, const BatchNormParams& params, const float* x,
                        const float* gamma, const float* beta, float* running_mean,
                        float* running_variance, float* mean, float* invstd, float* y,
                        float* workspace);
void batch_norm_backward(void* stream, const BatchNormParams& params, const float* x,
                         const float* mean, const float* invstd, const float* gamma,
                         const float* beta, const float* dy, float* dx, float* dgamma, float* dbeta,
                         float* workspace);
void fold_batch_norm(void* stream, const BatchNormParams& params, const float* gamma,
                     const float* beta, const float* running_mean, const float* running_variance,
                     float* scale, float* shift);
void batch_norm_inference(void* stream, const BatchNormParams& params, const float* x,
                          const float* scale, const float* shift, float* y);
}  // namespace emulated

}  // namespace pixeldp::kernels
