#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/batch_norm.hpp"
#include "tests/reference/batch_norm.hpp"
#include "tests/reference/values.hpp"

/// Batch normalisation with all arrays in host memory, for whoever runs it.
namespace pixeldp::kernels {

struct BatchNormCase {
  BatchNormParams params;
  std::vector<float> x, dy;
  std::vector<float> gamma, beta;                     ///< empty: null
  std::vector<float> running_mean, running_variance;  ///< updated; empty: null
  std::vector<float> y, mean, invstd, dx, dgamma, dbeta, scale, shift, y_inference;
  std::vector<std::uint16_t> y_rounded, dx_rounded;  ///< y and dx in bf16, made without them
  std::vector<float> y_of_both;                      ///< y, made together with ...
  std::vector<std::uint16_t> rounded_of_both;        ///< ... itself in bf16

  static BatchNormCase random(std::int64_t rows, std::int64_t channels, Activation activation,
                              std::uint64_t seed = 1) {
    BatchNormCase c;
    c.params = {.rows = rows, .channels = channels, .activation = activation};
    c.x = reference::reals(rows * channels, seed);
    c.dy = reference::reals(rows * channels, seed + 1);
    c.gamma = reference::reals(channels, seed + 2);
    c.beta = reference::reals(channels, seed + 3);
    c.running_mean = reference::reals(channels, seed + 4);
    c.running_variance = reference::reals(channels, seed + 5);
    for (float& v : c.running_variance) v += 1.0f;
    return c;
  }

  /// Every channel has a mean and as many rows above as below it, by the same power of two, in
  /// turn: all statistics are integers. `rows` is even.
  static BatchNormCase integers(std::int64_t rows, std::int64_t channels, Activation activation) {
    BatchNormCase c;
    c.params = {.rows = rows,
                .channels = channels,
                .epsilon = 0.0f,
                .momentum = 0.5f,
                .activation = activation};
    const auto means = reference::integers(channels, 1 << 18, 1);
    const auto exponents = reference::integers(channels, 3, 2);
    const auto signs = reference::integers(rows * channels, 1000, 3);
    for (std::int64_t i = 0; i < rows * channels; ++i) {
      const std::int64_t pair = i / (2 * channels) * channels + i % channels;
      const auto column = static_cast<std::size_t>(i % channels);
      const bool up = (signs[static_cast<std::size_t>(pair)] > 0.0f) == (i / channels % 2 == 0);
      const auto step = static_cast<float>(1 << static_cast<int>(exponents[column] + 3.0f));
      c.x.push_back(means[column] + (up ? step : -step));
    }
    c.dy = reference::integers(rows * channels, 8, 4);
    c.gamma = reference::integers(channels, 64, 5);
    c.beta = reference::integers(channels, 64, 6);
    c.running_mean = reference::integers(channels, 1 << 18, 7);
    c.running_variance = std::vector<float>(means.size(), 1.0f);
    return c;
  }

  std::size_t workspace() const {
    return static_cast<std::size_t>(batch_norm_workspace_size(params));
  }
  /// Sets the results to something that is none.
  void make_room() {
    const auto channels = static_cast<std::size_t>(params.channels);
    for (auto* result : {&mean, &invstd, &dgamma, &dbeta, &scale, &shift})
      result->assign(channels, -77.0f);
    for (auto* result : {&y, &dx, &y_inference, &y_of_both}) result->assign(x.size(), -77.0f);
    for (auto* result : {&y_rounded, &dx_rounded, &rounded_of_both}) result->assign(x.size(), 77);
  }

  reference::BatchNorm reference() const {
    reference::BatchNorm r;
    r.params = params;
    const auto channels = static_cast<std::size_t>(params.channels);
    r.gamma.assign(channels, 1.0), r.beta.assign(channels, 0.0);
    if (!gamma.empty()) r.gamma.assign(gamma.begin(), gamma.end());
    if (!beta.empty()) r.beta.assign(beta.begin(), beta.end());
    return r;
  }

  /// Every number that the operations made, one after the other.
  std::vector<float> results() const {
    std::vector<float> all;
    for (const auto* part : {&running_mean, &running_variance, &y, &mean, &invstd, &dx, &dgamma,
                             &dbeta, &scale, &shift, &y_inference, &y_of_both})
      all.insert(all.end(), part->begin(), part->end());
    for (const auto* part : {&y_rounded, &dx_rounded, &rounded_of_both})
      for (const std::uint16_t bits : *part) all.push_back(bits);
    return all;
  }
};

inline const float* pointer(const std::vector<float>& values) {
  return values.empty() ? nullptr : values.data();
}

/// Forward, backward and inference (by the running statistics, or those of the batch where there
/// are none) on the processor.
inline void run_on_processor(BatchNormCase& c) {
  const Stream stream;
  c.make_room();
  std::vector<float> workspace(c.workspace(), 99.0f);
  const bool running = !c.running_mean.empty();
  batch_norm_forward(stream, c.params, c.x.data(), pointer(c.gamma), pointer(c.beta),
                     running ? c.running_mean.data() : nullptr,
                     running ? c.running_variance.data() : nullptr, c.mean.data(), c.invstd.data(),
                     c.y.data(), workspace.data());
  batch_norm_backward(stream, c.params, c.x.data(), c.mean.data(), c.invstd.data(),
                      pointer(c.gamma), pointer(c.beta), c.dy.data(), c.dx.data(), c.dgamma.data(),
                      c.dbeta.data(), workspace.data());
  fold_batch_norm(stream, c.params, pointer(c.gamma), pointer(c.beta),
                  running ? c.running_mean.data() : c.mean.data(),
                  running ? c.running_variance.data() : c.invstd.data(), c.scale.data(),
                  c.shift.data());
  batch_norm_inference(stream, c.params, c.x.data(), c.scale.data(), c.shift.data(),
                       c.y_inference.data());
  c.y_of_both = c.y;
  std::ranges::transform(c.y, c.y_rounded.begin(), reference::to_bf16);
  c.rounded_of_both = c.y_rounded;
  std::ranges::transform(c.dx, c.dx_rounded.begin(), reference::to_bf16);
}

}  // namespace pixeldp::kernels
