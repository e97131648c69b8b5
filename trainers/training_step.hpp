#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/communicator.hpp"
#include "kernels/loss.hpp"
#include "kernels/parseval.hpp"
#include "layers/training_pass.hpp"
#include "pixeldp/dual_bound.hpp"
#include "pixeldp/sensitivity.hpp"
#include "trainers/adversary.hpp"
#include "trainers/batch_source.hpp"
#include "trainers/gradient_average.hpp"
#include "trainers/training_config.hpp"

namespace pixeldp {

/// What training does over and over: forward pass, loss, backward pass, the optimiser, and whatever
/// holds the sensitivity of the layers before the noise. Keeps its memory from step to step.
///
/// Several ranks take equal parts of each batch, and average losses and gradients, so that they
/// hold the same parameters, to the last bit, and see the same losses. What a batch norm computes
/// of a batch it computes of the rank's part, unless it is synchronised. run() and loss() are then
/// collective.
class TrainingStep {
 public:
  /// Configuration and network must outlive it; the network's parameters are in the memory of the
  /// stream's device when it runs. The ranks divide the configured batch.
  TrainingStep(const Stream& stream, const TrainingConfig& config, layers::Network& network,
               Communicator& ranks = Communicator::alone());

  /// Step number `step` on this rank's part of a batch of the configured size. `velocity` is the
  /// optimiser's momentum: one entry per parameter, in the memory of the device. Where the loss is
  /// not finite, training has diverged, and the parameters stay as they are. It is NaN where the
  /// projection of the step before has diverged.
  kernels::LossResult run(std::int64_t step, const TrainingBatch& batch,
                          std::vector<Tensor>& velocity);

  /// The loss that run() would start from, and no more: parameters and running statistics stay as
  /// they are.
  double loss(std::int64_t step, const TrainingBatch& batch);

  /// What is wrong with the projections of the last step, or nothing.
  std::string projection_fault() const;

  /// Throws an Error, as Communicator::check_same does, where ranks hold other parameters, say
  /// because their processors round otherwise; after so many steps. Collective.
  void check_same_weights(std::int64_t steps);

  /// Holds the sensitivity of the layers before the noise as configured: a part of run().
  void control_sensitivity();

 private:
  bool reconstructs(std::int64_t step) const { return step < config_.reconstruction_steps; }
  void freeze(std::int64_t step);
  kernels::LossResult forward(std::int64_t step, const TrainingBatch& batch);
  kernels::LossResult dual_loss(std::int64_t step, const TrainingBatch& batch);
  void optimise(std::int64_t step, std::vector<Tensor>& velocity);
  kernels::ParsevalParams parseval_params(const ConvGeometry& geometry) const;

  Stream stream_;
  const TrainingConfig& config_;
  layers::Network& network_;
  Communicator& ranks_;
  std::int64_t rows_of_rank_;
  layers::TrainingPass pass_;
  std::optional<Adversary> adversary_;
  std::optional<DualBound> dual_;
  // In the memory of the device.
  Tensor images_;
  Tensor dlogits_;  // or the gradient in what an auto-encoder makes
  Buffer<kernels::NoiseRow> rows_;
  Buffer<std::int32_t> labels_;
  Buffer<kernels::LossResult> loss_;
  Buffer<std::uint64_t> bad_loops_;         // of the layers before the noise
  std::optional<GradientAverage> average_;  // where there are several ranks
};

}  // namespace pixeldp
