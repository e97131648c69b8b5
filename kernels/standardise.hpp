#pragma once

#include <cstdint>

#include "engine/device.hpp"

namespace pixeldp::kernels {

// Images standardised one by one, as TensorFlow's per_image_standardization does. With n the values
// of an image,
//
//   y = (x - mean) / deviation,   mean = sum x / n,
//   deviation = max(sqrt(sum (x - mean)^2 / n), 1 / sqrt(n))
//
// Tensors are fp32 [images, values], dense, of any alignment. Everything but what is read and
// written is in double precision; value i goes to lane i % 32 and lanes are summed in a fixed order
// (sum_of_lanes): processors and GPUs have the same bits, and an image's do not depend on the
// others. Throw an Error for negative counts and images of no values.

void standardise(const Stream& stream, std::int64_t images, std::int64_t values, const float* x,
                 float* y);

/// dx = the gradient in x, from dy:
///   dx = (dy - mean(dy) - y mean(dy y)) / deviation,
/// the last term only where the deviation is above 1 / sqrt(n).
void standardise_backward(const Stream& stream, std::int64_t images, std::int64_t values,
                          const float* x, const float* dy, float* dx);

}  // namespace pixeldp::kernels
