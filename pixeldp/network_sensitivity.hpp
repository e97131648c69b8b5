#pragma once

#include "layers/network.hpp"
#include "pixeldp/calibration.hpp"
#include "pixeldp/sensitivity.hpp"

namespace pixeldp {

/// Upper bound of the change of what enters the noise layer, in the norm that the mechanism needs,
/// per unit of the attack norm: of the identity for noise in the image, else of the layers of the
/// prefix composed. Throws an Error if the prefix holds a layer whose sensitivity is not known.
double network_sensitivity(const layers::Network& network, AttackNorm attack_norm,
                           Mechanism mechanism, SensitivityForm form);

}  // namespace pixeldp
