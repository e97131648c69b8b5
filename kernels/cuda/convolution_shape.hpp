#pragma once

#include <cstdint>
#include <string>

#include "kernels/convolution.hpp"

namespace pixeldp::kernels {

/// "convolution 2x28x28x1 with 32 kernels 5x5, stride 2, padding 1+2, 1+2": for messages.
std::string describe(const Conv2dShape& shape);

/// Throws an Error for what is no convolution: an extent, a channel count or a stride below 1, a
/// batch or a padding below 0, a kernel larger than the padded image.
void check_conv2d_shape(const Conv2dShape& shape);

/// a / b rounded up, for a > -b.
constexpr std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace pixeldp::kernels
