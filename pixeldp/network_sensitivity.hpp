#pragma once

#include <string>
#include <vector>

#include "layers/conv2d.hpp"
#include "layers/network.hpp"
#include "pixeldp/calibration.hpp"
#include "pixeldp/sensitivity.hpp"

namespace pixeldp {

/// What the sensitivity functions must know of a convolution and its input.
ConvGeometry conv_geometry(const layers::Conv2d& conv, const Shape& input);

/// Upper bounds of the change of what enters the noise layer, per unit of the attack norm: of the
/// identity for noise in the image, else of the layers of the prefix composed. Parameters lie in
/// host memory or on the stream's device. Throws an Error if the prefix holds a layer whose
/// sensitivity is not known.
NormTable network_norms(const layers::Network& network, SensitivityForm form,
                        const Stream& stream = Stream());

/// The calibration for attacks in each norm in turn: the given one for its own, and with the
/// network's sensitivity for the others. One certificate's bounds give a radius in each of them,
/// all of which hold together. Norms of which no sensitivity is known are left out.
std::vector<Calibration> in_all_norms(const Calibration& calibration, const NormTable& norms);

/// A place where noise could be added.
struct NoisePlace {
  std::string after;  ///< "the image", or the name of a layer
  NormTable norms;    ///< of what lies before
  /// Root mean square of what the layers before make of a change of the image by 1, over all
  /// directions; activations and borders are left out, so that it is about that. Not a number after
  /// a standardisation, where every image has its own.
  double gain = 1.0;
};

/// The image, unless it is standardised, and the convolutions that follow one another from there,
/// wherever the network's own noise is.
std::vector<NoisePlace> noise_places(const layers::Network& network, SensitivityForm form,
                                     const Stream& stream = Stream());

/// The entry of network_norms that the mechanism needs.
double network_sensitivity(const layers::Network& network, AttackNorm attack_norm,
                           Mechanism mechanism, SensitivityForm form,
                           const Stream& stream = Stream());

}  // namespace pixeldp
