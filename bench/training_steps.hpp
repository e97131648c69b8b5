#pragma once

#include <string>
#include <vector>

#include "trainers/training_step.hpp"

namespace pixeldp::bench {

/// A network in training on batches of random images.
class TrainingSteps {
 public:
  TrainingSteps(const Stream& stream, const TrainingConfig& config);
  TrainingSteps(const TrainingSteps&) = delete;
  TrainingSteps& operator=(const TrainingSteps&) = delete;

  /// Seconds per step, until the device is done with it. The batch is made before.
  double step();
  /// Of the projection alone.
  double projection();

  layers::Network& network() { return network_; }
  /// The last batch.
  const TrainingBatch& batch() const { return batch_; }

 private:
  /// Random, and never the same twice, so that there is nothing to be learnt by heart.
  void next_batch();

  Stream stream_;
  TrainingConfig config_;
  layers::Network network_;
  TrainingStep step_;
  std::vector<Tensor> velocity_;
  TrainingBatch batch_;
  std::int64_t done_ = 0;
};

/// configs/FILE in the source folder, with another batch if that is not 0.
TrainingConfig training_config(const std::string& source_folder, const char* file,
                               std::int64_t batch);

/// The same network and training without noise, and without what holds the sensitivity.
TrainingConfig without_noise(TrainingConfig config);

}  // namespace pixeldp::bench
