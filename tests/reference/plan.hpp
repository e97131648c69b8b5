#pragma once

#include <utility>
#include <vector>

#include "engine/buffer.hpp"
#include "kernels/device_plan.hpp"
#include "kernels/inference.hpp"

namespace pixeldp::reference {

inline kernels::InferenceStep convolution_step(kernels::Conv2dShape shape,
                                               std::vector<float> weight,
                                               kernels::Activation activation,
                                               std::vector<float> scale = {},
                                               std::vector<float> shift = {}) {
  shape.batch = 1;
  return {.name = "conv",
          .inputs = {0},
          .activation = activation,
          .convolution = shape,
          .weight = std::move(weight),
          .scale = std::move(scale),
          .shift = std::move(shift)};
}

inline kernels::InferenceStep dense_step(std::vector<float> weight, std::vector<float> bias,
                                         kernels::Activation activation) {
  return {.kind = kernels::InferenceStep::Kind::dense,
          .name = "dense",
          .inputs = {0},
          .activation = activation,
          .outputs = std::ssize(bias),
          .weight = std::move(weight),
          .shift = std::move(bias)};
}

/// On rows of so many values.
inline kernels::InferencePlan plan_of(std::int64_t size,
                                      const std::vector<kernels::InferenceStep>& steps) {
  kernels::InferencePlan plan(size);
  for (const kernels::InferenceStep& step : steps) plan.add(step);
  return plan;
}

/// Calculates the plan on the stream's device, twice over: the second run must not see the first.
inline void run_plan(const Stream& stream, const kernels::InferencePlan& plan,
                     kernels::Precision precision, std::int64_t rows, const float* x, float* y) {
  if (stream.device().kind != DeviceKind::cpu) {
    const auto prepared = kernels::prepare_device_plan(
        stream, plan, kernels::DeviceSchedule::make(plan, rows, precision));
    for (int run = 0; run < 2; ++run) prepared->run(x, y);
    return;
  }
  const auto prepared = kernels::prepare_inference(plan, precision);
  Memory workspace({}, static_cast<std::size_t>(prepared->workspace_size()));
  for (int run = 0; run < 2; ++run) prepared->run(rows, x, y, workspace.data());
}

}  // namespace pixeldp::reference
