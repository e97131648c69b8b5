#pragma once

#include <filesystem>
#include <optional>

#include "engine/communicator.hpp"
#include "engine/config.hpp"
#include "engine/device.hpp"
#include "engine/progress.hpp"
#include "trainers/evaluation.hpp"

namespace pixeldp {

struct TrainOptions {
  Device device{};
  std::filesystem::path output{};  ///< the run's folder
  bool resume = false;             ///< continue an earlier run in that folder, if there is one
  ProgressStyle off_terminal = ProgressStyle::silent;  ///< where standard error is no terminal
  Communicator* ranks = &Communicator::alone();        ///< that divide each batch
};

/// With the last evaluation.
struct TrainSummary : Evaluation {
  std::int64_t steps = 0;
  bool standardised = false;  ///< the images, one by one
  double seconds = 0.0;
  /// Of the last line of training.csv; nothing where a run that was finished before does not say.
  std::optional<double> loss;
};

/// Trains the network of a configuration. The folder receives config.yaml (resolved), training.csv
/// while it goes on, checkpoint.safetensors now and then, and model.safetensors at the end. Throws
/// an Interruption when the process is interrupted and an Error when a picture is damaged, either
/// after writing a checkpoint; and an Error when training diverges. No checkpoint has parameters
/// whose loss is not finite. What the user may not expect is said on standard error.
///
/// Several ranks (TrainingStep) stop together, whichever is interrupted or meets a damaged picture.
/// Rank 0 writes, and evaluates with its own running statistics; the others read the checkpoint
/// from the same folder, and return a summary of steps and loss only.
TrainSummary train(const ConfigNode& configuration, const TrainOptions& options);

}  // namespace pixeldp
