#pragma once

#include <memory>

#include "kernels/convolution.hpp"
#include "kernels/dense.hpp"

namespace pixeldp::kernels::cpu {

// kernels::prepare_conv2d and kernels::prepare_dense on a CPU, in fp32 whatever the precision asked
// for.

std::unique_ptr<Prepared> prepare_conv2d(const Conv2dShape& shape, const float* weight,
                                         Activation activation);
std::unique_ptr<Prepared> prepare_dense(const DenseShape& shape, const float* weight,
                                        const float* bias, Activation activation);

}  // namespace pixeldp::kernels::cpu
