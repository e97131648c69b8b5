#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/inference.hpp"

/// What a plan in int8 (kernels/inference.hpp) comes to before anything is calculated: the same
/// numbers on every device.
namespace pixeldp::kernels {

/// For each value of a plan 1 / s, s being the scale of the products that read it; 0 where none
/// does. `scales`: one for each step. Throws an Error for scales that are none, for a value that
/// would be read on two of them, and for sums that could exceed 32 bits.
std::vector<float> inverse_scales(const InferencePlan& plan, std::span<const float> scales);

/// The weight of a step that multiplies, its scale applied, as whole numbers in the same order, and
/// by what the sums of each output are to be multiplied.
struct RoundedWeight {
  std::vector<std::int8_t> weight;
  std::vector<float> scale;

  /// inverse_scale: of what the step reads.
  RoundedWeight(const InferenceStep& step, float inverse_scale);
};

}  // namespace pixeldp::kernels
