#pragma once

#include <memory>

#include "kernels/cpu/product.hpp"
#include "kernels/inference.hpp"

namespace pixeldp::kernels::cpu {

/// Whether a step is a convolution by Winograd's algorithm.
bool by_winograd(const InferenceStep& step, Precision precision, Algorithm algorithm);

/// A step that multiplies. `inverse_scale`: for int8, of what it reads.
std::unique_ptr<PreparedProduct> prepare_product(const InferenceStep& step, Precision precision,
                                                 Algorithm algorithm, float inverse_scale);

}  // namespace pixeldp::kernels::cpu
