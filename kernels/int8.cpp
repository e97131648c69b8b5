#include "kernels/int8.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/error.hpp"
#include "kernels/cpu/product.hpp"

namespace pixeldp::kernels {

std::vector<float> inverse_scales(const InferencePlan& plan, std::span<const float> scales) {
  if (scales.size() != plan.steps.size())
    fail("{} scales for a plan of {} steps", scales.size(), plan.steps.size());
  std::vector<float> all(plan.sizes.size(), 0.0f);
  for (std::size_t i = 0; i < scales.size(); ++i) {
    const InferenceStep& step = plan.steps[i];
    if (!step.multiplies()) continue;
    const float inverse = 1.0f / scales[i];
    if (!std::isnormal(scales[i]) || !std::isfinite(inverse) || scales[i] < 0)
      fail("layer {}: {} is no scale for what it reads", step.name, scales[i]);
    // Where processors multiply bytes, what they sum is 128 more than ours.
    const auto terms = static_cast<std::int64_t>(step.weight.size()) / step.outputs;
    if (terms > std::numeric_limits<std::int32_t>::max() / (255 * 127))
      fail("layer {}: sums of {} products of 8 bits may exceed 32 bits", step.name, terms);
    float& read = all[static_cast<std::size_t>(step.input())];
    if (read > 0.0f && read != inverse)
      fail("layer {} reads what another layer reads, on another scale", step.name);
    read = inverse;
  }
  return all;
}

RoundedWeight::RoundedWeight(const InferenceStep& step, float inverse_scale)
    : weight(step.weight.size()), scale(static_cast<std::size_t>(step.outputs)) {
  const float input_scale = 1.0f / inverse_scale;
  const std::vector<float> real = cpu::scaled_weight(step.weight, step.scale);
  const std::size_t of_output = real.size() / scale.size();
  for (std::size_t o = 0; o < scale.size(); ++o) {
    const float* const from = real.data() + o * of_output;
    float most = 0.0f;
    for (std::size_t i = 0; i < of_output; ++i) most = std::max(most, std::abs(from[i]));
    float unit = most / 127.0f;
    if (!std::isnormal(unit)) unit = 1.0f;  // all weights are as good as 0
    for (std::size_t i = 0; i < of_output; ++i)
      weight[o * of_output + i] =
          static_cast<std::int8_t>(std::clamp(std::nearbyint(from[i] / unit), -127.0f, 127.0f));
    scale[o] = unit * input_scale;
  }
}

}  // namespace pixeldp::kernels
