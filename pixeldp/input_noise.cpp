#include "pixeldp/input_noise.hpp"

#include <cmath>
#include <utility>

#include "engine/error.hpp"
#include "pixeldp/sensitivity.hpp"

namespace pixeldp {

Calibration input_noise_calibration(const InputNoise& noise, const layers::NetworkSpec& spec) {
  const AttackNorm norm = norm_of(noise.mechanism);
  if (!(noise.scale > 0.0) || !std::isnormal(static_cast<float>(noise.scale))) {
    fail_usage("a noise scale of {} is out of range: it must be above 0, where a pixel spans 1",
               noise.scale);
  }
  if (spec.standardise) {
    fail_usage(
        "a network that standardises each image does so before any noise: it takes no noise in the "
        "image");
  }
  return {.mechanism = noise.mechanism,
          .attack_norm = norm,
          .noise_scale = static_cast<float>(noise.scale),
          .sensitivity = identity_sensitivity(1, norm, noise.mechanism)};
}

void give_input_noise(Model& model, const InputNoise& noise) {
  if (model.calibration.mechanism != Mechanism::none) {
    fail_usage(
        "model '{}' has noise of its own ({}, scale {:.6g}): it is certified without --noise and "
        "--sigma",
        model.name, name(model.calibration.mechanism), model.calibration.noise_scale);
  }
  model.calibration = input_noise_calibration(noise, model.spec);
  model.spec.noise_after_layers = 0;
  layers::Network network = layers::make_network(model.spec, 0);
  load_parameters(model_to_safetensors(model), "model '" + model.name + "'", network);
  model.network = std::move(network);
  apply_calibration(model.calibration, model.network);
  model.noise_at_certification = true;
}

}  // namespace pixeldp
