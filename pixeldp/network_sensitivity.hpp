#pragma once

#include "layers/conv2d.hpp"
#include "layers/network.hpp"
#include "pixeldp/calibration.hpp"
#include "pixeldp/sensitivity.hpp"

namespace pixeldp {

/// What the sensitivity functions must know of a convolution and its input.
ConvGeometry conv_geometry(const layers::Conv2d& conv, const Shape& input);

/// Upper bound of the change of what enters the noise layer, in the norm that the mechanism needs,
/// per unit of the attack norm: of the identity for noise in the image, else of the layers of the
/// prefix composed. Parameters lie in host memory or on the stream's device. Throws an Error if the
/// prefix holds a layer whose sensitivity is not known.
double network_sensitivity(const layers::Network& network, AttackNorm attack_norm,
                           Mechanism mechanism, SensitivityForm form,
                           const Stream& stream = Stream());

}  // namespace pixeldp
