#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "kernels/batch_norm.hpp"
#include "kernels/convolution.hpp"
#include "kernels/dense.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/loss.hpp"
#include "kernels/parseval.hpp"
#include "kernels/pooling.hpp"
#include "kernels/sgd.hpp"

/// The operations of kernels/*.hpp on processors, without the stream, for work is done when a call
/// returns, and where all products are in fp32 without the precision.
namespace pixeldp::kernels::cpu {

void conv2d_forward(const Conv2dShape& shape, Precision precision, const float* x,
                    const float* weight, float* y);
void conv2d_backward_data(const Conv2dShape& shape, Precision precision, const float* dy,
                          const float* weight, float* dx);
void conv2d_backward_weight(const Conv2dShape& shape, Precision precision, const float* x,
                            const float* dy, float* dweight);
std::unique_ptr<Prepared> prepare_conv2d(const Conv2dShape& shape, const float* weight,
                                         const Conv2dEpilogue& epilogue);

void dense_forward(const DenseShape& shape, Precision precision, const float* x,
                   const float* weight, const float* bias, float* y);
void dense_backward_data(const DenseShape& shape, Precision precision, const float* dy,
                         const float* weight, float* dx);
void dense_backward_weight(const DenseShape& shape, Precision precision, const float* x,
                           const float* dy, float* dweight, float* dbias);
std::unique_ptr<Prepared> prepare_dense(const DenseShape& shape, const float* weight,
                                        const float* bias, Activation activation);

void batch_norm_forward(const BatchNormParams& params, const float* x, const float* gamma,
                        const float* beta, float* running_mean, float* running_variance,
                        float* mean, float* invstd, float* y, float* workspace);
void batch_norm_backward(const BatchNormParams& params, const float* x, const float* mean,
                         const float* invstd, const float* gamma, const float* beta,
                         const float* dy, float* dx, float* dgamma, float* dbeta, float* workspace);
void fold_batch_norm(const BatchNormParams& params, const float* gamma, const float* beta,
                     const float* running_mean, const float* running_variance, float* scale,
                     float* shift);
void batch_norm_inference(const BatchNormParams& params, const float* x, const float* scale,
                          const float* shift, float* y);

void global_average_pool(const GlobalPoolShape& shape, const float* x, float* y);
void global_average_pool_backward(const GlobalPoolShape& shape, const float* dy, float* dx);
void shortcut_forward(const ShortcutShape& shape, const float* x, float* y);
void shortcut_backward(const ShortcutShape& shape, const float* dy, float* dx);
void add(Activation activation, std::int64_t size, const float* a, const float* b, float* y);

void standardise(std::int64_t images, std::int64_t values, const float* x, float* y);
void standardise_backward(std::int64_t images, std::int64_t values, const float* x, const float* dy,
                          float* dx);

void activate(Activation activation, std::int64_t size, float* y);
void activation_backward(Activation activation, std::int64_t size, const float* y, float* gradient);
void softmax_cross_entropy(std::int64_t rows, std::int64_t classes, const float* logits,
                           const std::int32_t* labels, float* dlogits, LossResult* result);
void sgd_steps(std::span<const SgdStep> steps);
void parseval_project(const ParsevalParams& params, float* weight, std::uint64_t* bad_loop);

}  // namespace pixeldp::kernels::cpu
