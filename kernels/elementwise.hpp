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

/// y[j] = (x[0, j] + x[1, j] + ... ) / rows, summed in this order, for x [rows, columns] and y
/// [columns], which may be x's first row: the same bits on every device. Throws an Error for no
/// rows, too.
void average_rows(const Stream& stream, std::int64_t rows, std::int64_t columns, const float* x,
                  float* y);

}  // namespace pixeldp::kernels
