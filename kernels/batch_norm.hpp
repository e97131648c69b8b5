#pragma once

#include <cstdint>

#include "engine/device.hpp"
#include "kernels/activation.hpp"

namespace pixeldp::kernels {

/// Batch normalisation over the last axis of x [rows, channels]: of NHWC images, rows are the
/// pixels of all images. The defaults are those of TensorFlow's wide ResNet.
struct BatchNormParams {
  std::int64_t rows = 0;
  std::int64_t channels = 0;
  float epsilon = 1e-3f;       ///< added to the variance
  float momentum = 0.9f;       ///< what the running statistics keep of themselves
  Activation activation = {};  ///< follows the normalisation
};

/// Floats of the workspace below: at most 1026 per channel.
std::int64_t batch_norm_workspace_size(const BatchNormParams& params);

// Tensors are fp32 and dense, of any alignment; gamma, beta and all statistics have one value per
// channel. A null gamma counts as 1, a null beta as 0. Every sum is taken in a fixed order that
// depends on rows and channels alone, so that results are the same to the last bit whatever the
// number of threads, on processors and GPUs alike. On a CPU a call from within a parallel region
// uses one thread. Throw an Error for no channels, an epsilon or momentum that is none, and, in
// training, no rows. (Ioffe and Szegedy, "Batch normalization", 2015.)

/// Training.
///
///   mean = sum x / rows,  variance = sum (x - mean)^2 / rows   (biased, as TensorFlow's moments)
///   invstd = 1 / sqrt(variance + epsilon)
///   y = activation(gamma * invstd * (x - mean) + beta)
///   running = momentum * running + (1 - momentum) * batch      for mean and (biased) variance
///
/// The variance is that of x less its first row, by the two-pass formula in groups of rows, which
/// are merged pairwise (Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for
/// computing sample variances", 1979): a large mean costs it nothing. mean and invstd are written
/// for the backward pass. Null running statistics are not updated. y may be x's own memory where no
/// backward pass follows.
void batch_norm_forward(const Stream& stream, const BatchNormParams& params, const float* x,
                        const float* gamma, const float* beta, float* running_mean,
                        float* running_variance, float* mean, float* invstd, float* y,
                        float* workspace);

/// The gradients of batch_norm_forward in x, gamma and beta, from the gradient dy in y: with
/// z = gamma * invstd * (x - mean) + beta, recomputed to the forward pass's bits,
///
///   xhat = invstd * (x - mean),  g = z > 0 ? dy : slope * dy
///   dbeta = sum g,  dgamma = sum g * xhat
///   dx = gamma * invstd * (g - dbeta / rows - xhat * dgamma / rows)
///
/// dgamma and dbeta may be null; they are overwritten, not added to. dx may be dy's own memory.
void batch_norm_backward(const Stream& stream, const BatchNormParams& params, const float* x,
                         const float* mean, const float* invstd, const float* gamma,
                         const float* beta, const float* dy, float* dx, float* dgamma, float* dbeta,
                         float* workspace);

// The same in halves, for a batch of which other processes have rows, too: between them the caller
// makes what the first half found in these rows that of all rows.

/// mean, invstd and the running statistics of batch_norm_forward.
void batch_norm_statistics(const Stream& stream, const BatchNormParams& params, const float* x,
                           float* running_mean, float* running_variance, float* mean, float* invstd,
                           float* workspace);

/// y of batch_norm_forward. On devices `rounded`, where it is not null, receives y in bf16 (to
/// nearest, ties to even), in the same layout, and y may be null.
void batch_norm_normalise(const Stream& stream, const BatchNormParams& params, const float* x,
                          const float* mean, const float* invstd, const float* gamma,
                          const float* beta, float* y, std::uint16_t* rounded = nullptr);

/// dgamma and dbeta of batch_norm_backward. The first 2 * channels floats of the workspace become
/// what dx depends on: dbeta / rows of each channel, then dgamma / rows.
void batch_norm_gradient_sums(const Stream& stream, const BatchNormParams& params, const float* x,
                              const float* mean, const float* invstd, const float* gamma,
                              const float* beta, const float* dy, float* dgamma, float* dbeta,
                              float* workspace);

/// dx of batch_norm_backward; on devices `rounded`, where it is not null, takes the place of dx.
void batch_norm_input_gradient(const Stream& stream, const BatchNormParams& params, const float* x,
                               const float* mean, const float* invstd, const float* gamma,
                               const float* beta, const float* workspace, const float* dy,
                               float* dx, std::uint16_t* rounded = nullptr);

/// What batch normalisation by running statistics does to a channel:
///
///   scale = gamma / sqrt(running_variance + epsilon),  shift = beta - running_mean * scale
///
/// for batch_norm_inference, or for what else can scale and shift channels. Rows are not looked at.
void fold_batch_norm(const Stream& stream, const BatchNormParams& params, const float* gamma,
                     const float* beta, const float* running_mean, const float* running_variance,
                     float* scale, float* shift);

/// y = activation(scale * x + shift). A row of y depends on that row of x alone. y may be x's own
/// memory.
void batch_norm_inference(const Stream& stream, const BatchNormParams& params, const float* x,
                          const float* scale, const float* shift, float* y);

}  // namespace pixeldp::kernels
