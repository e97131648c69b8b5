#pragma once

#include "pixeldp/model.hpp"

namespace pixeldp {

/// Noise in the image, before everything else that a network does, its normalisation of the image
/// too: what networks for randomised smoothing are trained with (Cohen et al. 2019; Laplace noise:
/// Teng et al. 2020), and what makes a certifiable classifier of any other.
struct InputNoise {
  Mechanism mechanism = Mechanism::gaussian;
  /// Standard deviation of the Gaussian, scale b of the Laplace distribution (whose standard
  /// deviation is sqrt(2) b), in units where a pixel spans 1. Rounded to a float.
  double scale = 0.0;
};

/// Of a network with this noise: certified for attacks in the norm that fits, 2 for Gaussian noise
/// and 1 for Laplace noise, in which the sensitivity of the image itself is 1. There is no
/// construction: nobody chose an attack size. Throws a usage error unless it is noise and its scale
/// a normal float above 0, and if the network standardises each image, which comes before any
/// noise.
Calibration input_noise_calibration(const InputNoise& noise, const layers::NetworkSpec& spec);

/// Gives a network without noise its noise in the image, for as long as the model is in memory
/// (Model::noise_at_certification). Throws a usage error if it has noise of its own, and what
/// input_noise_calibration throws.
void give_input_noise(Model& model, const InputNoise& noise);

}  // namespace pixeldp
