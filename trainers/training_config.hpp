#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/config.hpp"
#include "layers/networks/network_spec.hpp"
#include "pixeldp/calibration.hpp"
#include "pixeldp/sensitivity.hpp"
#include "trainers/augmentation.hpp"

namespace pixeldp {

/// How the sensitivity of the layers before the noise is kept near 1 while training.
enum class SensitivityControl { none, parseval, normalise_columns, normalise_rows };

/// What is trained of an auto-encoder and the classifier behind it, once the steps on
/// reconstruction are done.
enum class TrainedPart { autoencoder, classifier, both };

/// Training on pictures that an attack makes of the images (trainers/adversary.hpp).
struct AdversarialTraining {
  AttackNorm norm = AttackNorm::linf;
  double size = 0.0, step = 0.0;  ///< in the norm, where a pixel spans 1
  std::int64_t steps = 0;
};

/// Training on what the dual bound proves of a box around each image (pixeldp/dual_bound.hpp),
/// whose size grows from 0 in the first steps.
struct DualTraining {
  double size = 0.0;
  std::int64_t ramp = 0;  ///< steps

  double size_at(std::int64_t step) const {
    return step >= ramp ? size : size * static_cast<double>(step) / static_cast<double>(ramp);
  }
};

/// From step `step` on the learning rate is `rate`.
struct LearningRateChange {
  std::int64_t step = 0;
  double rate = 0.0;

  bool operator==(const LearningRateChange&) const = default;
};

/// Everything a training run depends on, grouped as in training_settings.cpp, which says what each
/// key means.
struct TrainingConfig {
  std::string name;

  // data
  std::string dataset;
  std::optional<std::string> directory;
  std::int64_t short_side = 0;  ///< ImageForm::short_side, where pictures have any size
  double pixel_shift = -0.5;    ///< added to pixels in [0, 1]

  // network, and where the noise lies in it
  layers::NetworkSpec network;

  // of an auto-encoder
  std::string classifier;                  ///< run or file of the model behind it
  std::optional<std::string> autoencoder;  ///< that of the weights it starts from
  TrainedPart trained = TrainedPart::autoencoder;
  std::int64_t reconstruction_steps = 0;  ///< the first so many steps are on reconstruction

  // noise
  Calibration
      calibration;  ///< its sensitivity is the one the noise assumes; it is measured after training
  bool ramp_up = true;
  bool noisy() const { return calibration.mechanism != Mechanism::none; }

  // sensitivity
  SensitivityControl control = SensitivityControl::none;
  double parseval_step = 0.0003;
  int parseval_loops = 0;
  SensitivityForm form = SensitivityForm::tight;

  // training (its `precision` is network.training_precision)
  Augmentation augmentation;
  std::optional<AdversarialTraining> adversarial;
  std::optional<DualTraining> dual;
  bool synchronised_batch_norm = false;  ///< over the ranks that divide the batch
  bool nccl_order = false;               ///< their gradients are summed in NCCL's own order
  std::int64_t steps = 0, batch = 128;
  std::vector<LearningRateChange> learning_rate;  ///< the first entry is for step 0
  double momentum = 0.9, weight_decay = 0.0002;
  std::uint64_t seed = 1;
  std::int64_t log_every = 100, evaluate_every = 1000, checkpoint_every = 1000;
  std::int64_t evaluation_images = 1000, evaluation_draws = 10;

  /// Keys of the file that went because of what ConfigNode::set changed, in words.
  std::vector<std::string> fallen_away;
};

/// Reads and checks a configuration. Every mistake is a usage Error that names file, line and key.
/// Afterwards root is the configuration with all defaults filled in, and without what fell away.
TrainingConfig read_training_config(const ConfigNode& root);

/// The learning rate of a step.
double learning_rate_at(const TrainingConfig& config, std::int64_t step);

/// The factor on the noise scale: 1 - min(0.99975^step, 0.9), and 1 once that exceeds 0.9; 1
/// without ramp-up.
double noise_factor_at(const TrainingConfig& config, std::int64_t step);

}  // namespace pixeldp
