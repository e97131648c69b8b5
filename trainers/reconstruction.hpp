#pragma once

#include <span>

namespace pixeldp {

/// The root of the mean squared difference between `image` and `target`, which adds the shift to
/// pixels from 0 to 1 that the image lacks; `gradient` receives the gradient in the image. In
/// double precision, in one order.
double reconstruction_loss(std::span<const float> image, std::span<const float> target, float shift,
                           std::span<float> gradient);

}  // namespace pixeldp
