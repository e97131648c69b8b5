#pragma once

#include <cstdint>

#include "engine/device.hpp"
#include "kernels/activation.hpp"

namespace pixeldp::kernels {

// Throw an Error for a negative size.

/// y = activation(y), in place.
void activate(const Stream& stream, Activation activation, std::int64_t size, float* y);

/// gradient *= activation'(x), where y = activation(x) tells the sign of x; in place. At x = 0 the
/// slope of the negative side is taken.
void activation_backward(const Stream& stream, Activation activation, std::int64_t size,
                         const float* y, float* gradient);

}  // namespace pixeldp::kernels
