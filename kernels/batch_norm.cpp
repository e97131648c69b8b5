#include "kernels/batch_norm.hpp"

#include <cmath>

#include "engine/error.hpp"
#include "kernels/formulas/batch_norm.hpp"
#include "kernels/operations.hpp"

namespace pixeldp::kernels {
namespace {

void check(const BatchNormParams& params, std::int64_t least_rows) {
  constexpr std::int64_t most = std::int64_t{1} << 60;
  const auto [rows, channels, epsilon, momentum, activation] = params;
  if (channels < 1 || rows < least_rows || rows > most / channels) {
    fail(
        "batch normalisation of {} rows of {} channels: there must be at least {} rows and 1 "
        "channel, and at most 2^60 elements",
        rows, channels, least_rows);
  }
  if (!(epsilon >= 0.0f && std::isfinite(epsilon)))
    fail("batch normalisation with epsilon {}: it must be a finite number of at least 0", epsilon);
  if (!(momentum >= 0.0f && momentum <= 1.0f))
    fail("batch normalisation with momentum {}: it must lie between 0 and 1", momentum);
}

void check_rounds(const Stream& stream, const std::uint16_t* rounded) {
  if (rounded != nullptr && stream.device().kind == DeviceKind::cpu)
    fail("batch normalisation on a processor writes single precision alone: round what it made");
}

}  // namespace

std::int64_t batch_norm_workspace_size(const BatchNormParams& params) {
  check(params, 0);
  // Two values of each split, and two of all splits together.
  return 2 * params.channels * (BatchNormOrder::make(params).splits + 1);
}

void batch_norm_statistics(const Stream& stream, const BatchNormParams& params, const float* x,
                           float* running_mean, float* running_variance, float* mean, float* invstd,
                           float* workspace) {
  check(params, 1);
  operations(stream).batch_norm_statistics(stream, params, x, running_mean, running_variance, mean,
                                           invstd, workspace);
}

void batch_norm_normalise(const Stream& stream, const BatchNormParams& params, const float* x,
                          const float* mean, const float* invstd, const float* gamma,
                          const float* beta, float* y, std::uint16_t* rounded) {
  check(params, 1);
  check_rounds(stream, rounded);
  operations(stream).batch_norm_normalise(stream, params, x, mean, invstd, gamma, beta, y, rounded);
}

void batch_norm_gradient_sums(const Stream& stream, const BatchNormParams& params, const float* x,
                              const float* mean, const float* invstd, const float* gamma,
                              const float* beta, const float* dy, float* dgamma, float* dbeta,
                              float* workspace) {
  check(params, 1);
  operations(stream).batch_norm_gradient_sums(stream, params, x, mean, invstd, gamma, beta, dy,
                                              dgamma, dbeta, workspace);
}

void batch_norm_input_gradient(const Stream& stream, const BatchNormParams& params, const float* x,
                               const float* mean, const float* invstd, const float* gamma,
                               const float* beta, const float* workspace, const float* dy,
                               float* dx, std::uint16_t* rounded) {
  check(params, 1);
  check_rounds(stream, rounded);
  operations(stream).batch_norm_input_gradient(stream, params, x, mean, invstd, gamma, beta,
                                               workspace, dy, dx, rounded);
}

void batch_norm_forward(const Stream& stream, const BatchNormParams& params, const float* x,
                        const float* gamma, const float* beta, float* running_mean,
                        float* running_variance, float* mean, float* invstd, float* y,
                        float* workspace) {
  batch_norm_statistics(stream, params, x, running_mean, running_variance, mean, invstd, workspace);
  batch_norm_normalise(stream, params, x, mean, invstd, gamma, beta, y);
}

void batch_norm_backward(const Stream& stream, const BatchNormParams& params, const float* x,
                         const float* mean, const float* invstd, const float* gamma,
                         const float* beta, const float* dy, float* dx, float* dgamma, float* dbeta,
                         float* workspace) {
  batch_norm_gradient_sums(stream, params, x, mean, invstd, gamma, beta, dy, dgamma, dbeta,
                           workspace);
  batch_norm_input_gradient(stream, params, x, mean, invstd, gamma, beta, workspace, dy, dx);
}

void fold_batch_norm(const Stream& stream, const BatchNormParams& params, const float* gamma,
                     const float* beta, const float* running_mean, const float* running_variance,
                     float* scale, float* shift) {
  check(params, 0);
  operations(stream).fold_batch_norm(stream, params, gamma, beta, running_mean, running_variance,
                                     scale, shift);
}

void batch_norm_inference(const Stream& stream, const BatchNormParams& params, const float* x,
                          const float* scale, const float* shift, float* y) {
  check(params, 0);
  operations(stream).batch_norm_inference(stream, params, x, scale, shift, y);
}

}  // namespace pixeldp::kernels
