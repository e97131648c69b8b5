#pragma once

#include <optional>

#include "engine/io/dataset.hpp"
#include "layers/network.hpp"
#include "trainers/training_config.hpp"

namespace pixeldp {

/// How good a network is on the first test images, training.evaluation_images of them by
/// training.evaluation_draws each: an early look at what `pixeldp certify` will say.
struct Evaluation {
  double test_accuracy = 0.0;  ///< of a classifier
  /// Of a regression network instead, in the unit of the labels: the root of the mean squared
  /// error.
  std::optional<double> test_error;
  double sensitivity = 0.0;  ///< before the noise
  /// At the construction bound, on the images and draws of the test accuracy. Nothing without
  /// noise, or where so few draws could never certify.
  std::optional<double> certified_accuracy;
};

Evaluation evaluate(const TrainingConfig& config, const layers::Network& network,
                    const Dataset& test, const Stream& stream);

/// Of what lies before the noise, for the configuration's norm and mechanism.
double noise_sensitivity(const TrainingConfig& config, const layers::Network& network,
                         const Stream& stream);

/// Warns where noise in the image would have to cover a sensitivity that is noticeably smaller.
/// `subject`: "the weights have".
void compare_with_image(const TrainingConfig& config, const layers::Network& network,
                        double sensitivity, const char* subject);

}  // namespace pixeldp
