#pragma once

#include <memory>

#include "kernels/cpu/product.hpp"
#include "kernels/inference.hpp"

namespace pixeldp::kernels::cpu {

/// Whether a step is a convolution by Winograd's algorithm.
bool by_winograd(const InferenceStep& step, Precision precision, Algorithm algorithm);

/// A step that multiplies. For int8, of what it reads: `inverse_scale`, and whether that is never
/// below 0.
std::unique_ptr<PreparedProduct> prepare_product(const InferenceStep& step, Precision precision,
                                                 Algorithm algorithm, float inverse_scale,
                                                 bool never_negative = false);

}  // namespace pixeldp::kernels::cpu
