#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/buffer.hpp"
#include "engine/captured_graph.hpp"
#include "engine/communicator.hpp"
#include "engine/event.hpp"
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
/// On a device run() returns before the step is done, and waits for nothing: the batch, the
/// learning rate and the noise's factor travel through pinned memory, and the loss comes back the
/// same way, for collect(). From the second one on a step is one graph; with several ranks it is
/// two, one until the gradients and one from their averages on. Only with statistics of a batch
/// that are taken over ranks it is none.
///
/// Several ranks take equal parts of each batch, and average losses and gradients, so that they
/// hold the same parameters, to the last bit, and see the same losses. What a batch norm computes
/// of a batch it computes of the rank's part, unless it is synchronised. run(), collect() and
/// loss() are then collective.
class TrainingStep {
 public:
  /// Called with a step's number and the loss it started from. It is NaN where the projection of
  /// the step before has diverged.
  using Take = std::function<void(std::int64_t step, const kernels::LossResult& result)>;

  /// Configuration and network must outlive it; the network's parameters are in the memory of the
  /// stream's device when it runs. The ranks divide the configured batch. Without `graphs` no step
  /// is recorded: the same kernels in the same order.
  TrainingStep(const Stream& stream, const TrainingConfig& config, layers::Network& network,
               Communicator& ranks = Communicator::alone(), bool graphs = true);

  /// So many steps can be unknown to collect() when run() is called.
  static constexpr std::size_t most_unknown = 1;

  /// Step number `step` on this rank's part of a batch of the configured size. `velocity` is the
  /// optimiser's momentum: one entry per parameter, in the memory of the device, and the same
  /// entries in every step. Where the loss is not finite, training has diverged: on a processor the
  /// parameters stay as they are, and on a device nothing is said of them. Throws an Error where
  /// more than most_unknown steps are unknown.
  void run(std::int64_t step, const TrainingBatch& batch, std::vector<Tensor>& velocity);

  /// Calls `take` for the steps that it was not called for yet, in their order, but for the last
  /// `left` ones; waits until they are done. On a processor none is left.
  void collect(std::size_t left, const Take& take);

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
  /// What changes from step to step and is not the batch.
  struct Changing {
    float learning_rate = 0.0f, noise_factor = 1.0f;
  };
  /// Pinned memory of a step that is not known to be done.
  struct Slot {
    Slot(Device device, const Shape& images, std::size_t prefix);

    PinnedBuffer<float> images;
    PinnedBuffer<kernels::NoiseRow> rows;
    PinnedBuffer<std::int32_t> labels;
    PinnedBuffer<Changing> changing;
    PinnedBuffer<kernels::LossResult> result;
    PinnedBuffer<std::uint64_t> bad_loops;
    std::optional<Adversary::Start> attack;
    std::int64_t step = 0;
    std::optional<Event> done;
  };

  bool on_device() const { return stream_.device().kind != DeviceKind::cpu; }
  bool reconstructs(std::int64_t step) const { return step < config_.reconstruction_steps; }
  bool attacks(std::int64_t step) const { return adversary_ && !reconstructs(step); }
  bool recordable() const;
  void record(CapturedGraph& graph, const std::function<void()>& work);
  void freeze(std::int64_t step);
  Changing changing_at(std::int64_t step) const;
  void upload(std::int64_t step, const TrainingBatch& batch);
  void upload(std::int64_t step, const TrainingBatch& batch, Slot& slot);
  void forward(std::int64_t step, const TrainingBatch& batch);
  void dual_loss(std::int64_t step, const TrainingBatch& batch);
  void differentiate(std::int64_t step);
  void apply(std::vector<Tensor>& velocity);
  void run_on_device(std::int64_t step, const TrainingBatch& batch, std::vector<Tensor>& velocity,
                     Slot& slot);
  void optimise(std::vector<Tensor>& velocity);
  kernels::LossResult judged(const kernels::LossResult& mine, bool faulty);
  kernels::ParsevalParams parseval_params(const ConvGeometry& geometry) const;

  Stream stream_;
  const TrainingConfig& config_;
  layers::Network& network_;
  Communicator& ranks_;
  const bool graphs_;
  std::int64_t rows_of_rank_;
  layers::TrainingPass pass_;
  std::optional<Adversary> adversary_;
  std::optional<DualBound> dual_;
  // In the memory of the device.
  Tensor images_;
  Tensor dlogits_;  // or the gradient in what an auto-encoder makes
  Buffer<kernels::NoiseRow> rows_;
  Buffer<std::int32_t> labels_;
  Buffer<Changing> changing_;
  Buffer<kernels::LossResult> loss_;
  Buffer<std::uint64_t> bad_loops_;  // of the layers before the noise
  std::deque<Slot> slots_;           // step number n of this process has slot n mod their number
  std::size_t run_ = 0, known_ = 0;  // so many steps of this process
  bool faulty_ = false;              // the projection of the last known step has diverged
  std::optional<GradientAverage> average_;  // where there are several ranks
  /// Of a step, or of what comes before the average over ranks and of what comes behind.
  CapturedGraph first_graph_, second_graph_;
};

}  // namespace pixeldp
