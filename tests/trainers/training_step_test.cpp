#include "trainers/training_step.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/emulator/settings.hpp"
#include "kernels/emulator/work_tally.hpp"
#include "pixeldp/model.hpp"
#include "tests/layers/made_network.hpp"
#include "tests/reference/values.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;

namespace {

constexpr std::int64_t batch_size = 4;

/// A small network after noise of which training knows both kinds of schedule: the noise grows, and
/// the learning rate falls at step 2.
TrainingConfig small_config(const std::string& architecture, SensitivityControl control) {
  TrainingConfig config;
  config.network = architecture == "mnist-cnn" ? layers::NetworkSpec{.height = 8, .width = 8}
                                               : tests::small_resnet_spec(architecture);
  config.network.training_precision = kernels::Precision::bf16;
  config.calibration = {.mechanism = Mechanism::gaussian, .noise_scale = 0.1};
  config.control = control;
  config.parseval_step = 0.05;
  config.parseval_loops = 2;
  config.steps = 8;
  config.batch = batch_size;
  config.learning_rate = {{0, 0.05}, {2, 0.01}};
  return config;
}

TrainingBatch made_batch(const layers::Network& network, std::int64_t step) {
  TrainingBatch batch;
  batch.images = Tensor(network.input().with_rows(batch_size));
  std::ranges::copy(reference::reals(batch.images.size(), static_cast<std::uint64_t>(step + 1)),
                    batch.images.data());
  for (std::int64_t i = 0; i < batch_size; ++i) {
    batch.rows.push_back({.source = i,
                          .image = static_cast<std::uint32_t>(i),
                          .draw = static_cast<std::uint32_t>(step)});
    batch.labels.push_back(static_cast<std::int32_t>((3 * i + step) % 10));
  }
  return batch;
}

/// Training on the emulated device, whose work is done no sooner than somebody waits for it.
class Training {
 public:
  Training(const TrainingConfig& config, bool graphs)
      : config_(config),
        network_(layers::make_network(config_.network, 1)),
        stream_(Device{DeviceKind::emulated}) {
    apply_calibration(config_.calibration, network_);
    network_.move_to(stream_, stream_.device());
    for (const layers::Parameter* p : network_.parameters())
      velocity_.emplace_back(p->value.shape(), stream_.device());
    step_.emplace(stream_, config_, network_, Communicator::alone(), graphs);
  }

  void run(std::int64_t steps) {
    for (std::int64_t i = 0; i < steps; ++i) {
      step_->run(done_, made_batch(network_, done_), velocity_);
      ++done_;
      collect(TrainingStep::most_unknown);
    }
  }
  void collect(std::size_t left) {
    step_->collect(left, [&](std::int64_t step, const kernels::LossResult& result) {
      CHECK(step == std::ssize(losses_));
      losses_.push_back(result.loss);
    });
  }
  double next_loss() { return step_->loss(done_, made_batch(network_, done_)); }

  /// Everything that training changes.
  std::vector<float> state() {
    collect(0);
    std::vector<float> all;
    const auto add = [&](const Tensor& tensor) {
      const std::vector<float> values = layers::host_values(stream_, tensor);
      all.insert(all.end(), values.begin(), values.end());
    };
    for (const layers::NamedTensor* tensor : network_.saved_tensors()) add(tensor->value);
    for (const Tensor& velocity : velocity_) add(velocity);
    return all;
  }
  const std::vector<double>& losses() const { return losses_; }
  const layers::Network& network() const { return network_; }

 private:
  TrainingConfig config_;
  layers::Network network_;
  Stream stream_;
  std::vector<Tensor> velocity_;
  std::optional<TrainingStep> step_;
  std::int64_t done_ = 0;
  std::vector<double> losses_;
};

emulator::Settings delayed() {
  emulator::Settings settings = emulator::settings();
  settings.delay_streams = true;
  return settings;
}

}  // namespace

TEST_CASE("a step that is launched as a graph has the bits of one that is not") {
  for (const std::string architecture : {"mnist-cnn", "wide-resnet"}) {
    CAPTURE(architecture);
    const TrainingConfig config = small_config(architecture, SensitivityControl::parseval);
    const auto trained = [&](bool graphs, bool delay) {
      emulator::Settings settings = emulator::settings();
      settings.delay_streams = delay;
      const emulator::WithSettings with(settings);
      Training training(config, graphs);
      training.run(1);
      // Between the steps, as at a checkpoint: the loss of the next one, by the same memory.
      if (graphs) training.next_loss();
      training.run(2);
      if (graphs) training.next_loss();
      training.run(1);
      return std::pair(training.state(), training.losses());
    };
    const auto expected = trained(false, false);
    CHECK(expected.second.size() == 4);
    for (const double loss : expected.second) CHECK(std::isfinite(loss));
    CHECK(trained(true, true) == expected);
  }
}

TEST_CASE("between lines of the log a step waits for nothing, allocates nothing, and is a graph") {
  for (const std::string architecture : {"mnist-cnn", "wide-resnet"}) {
    CAPTURE(architecture);
    const emulator::WithSettings with(delayed());
    Training training(small_config(architecture, SensitivityControl::parseval), true);
    training.run(2);
    emulator::reset_work_tally();
    constexpr std::int64_t steps = 3;
    training.run(steps);
    const emulator::WorkTally tally = emulator::work_tally();
    CHECK(tally.waits == 0);
    CHECK(tally.allocations == 0);
    CHECK(tally.stream_allocations == 0);
    CHECK(tally.launches == 0);
    CHECK(tally.graph_launches == steps);
    // Images, addresses, labels, what changes; the loss and the state of the projections.
    CHECK(tally.copies == 6 * steps);
    // For the step before the last, whose pinned memory is wanted: a device is never without work.
    CHECK(tally.event_waits == steps);
    CHECK(training.losses().size() == 2 + steps - TrainingStep::most_unknown);
    CHECK(tally.ran("row_loss_kernel") == steps);
  }
}

TEST_CASE("in a step every tensor is rounded once, and every weight packed once") {
  struct Case {
    const char* architecture;
    std::int64_t rounded, packed;
  };
  // mnist-cnn: x and dy of conv2, fc1 and fc2, and the image for the gradient in conv1's weight, in
  // tf32. Backward, conv2 is four passes, by its stride of 2.
  //
  // wide-resnet of 3 units: of their 6 convolutions normalisations round every x, and dy of the
  // first of each unit; the second of each rounds its own, as does the dense layer both; and the
  // image. Two first ones have a stride of 2.
  for (const Case& c :
       {Case{"mnist-cnn", 7, 3 + 4 + 2}, Case{"wide-resnet", 3 + 2 + 1, 6 + 4 + 2 * 4 + 2}}) {
    CAPTURE(c.architecture);
    Training training(small_config(c.architecture, SensitivityControl::none), true);
    training.run(2);
    emulator::reset_work_tally();
    training.run(1);
    training.collect(0);
    const emulator::WorkTally tally = emulator::work_tally();
    CHECK(tally.ran("fill_channels_kernel") == c.rounded);
    CHECK(tally.ran("pack_weight_kernel") == c.packed);
  }
}

TEST_CASE("a step that is not finite is told of with its number, and so is a bad projection") {
  TrainingConfig config = small_config("mnist-cnn", SensitivityControl::none);
  config.learning_rate = {{0, 0.01}, {2, 1e30}};
  const emulator::WithSettings with(delayed());
  Training diverging(config, true);
  diverging.run(5);
  diverging.collect(0);
  for (std::size_t step = 0; step < 5; ++step) {
    CAPTURE(step);
    CHECK(std::isfinite(diverging.losses()[step]) == (step < 3));
  }
  config = small_config("mnist-cnn", SensitivityControl::parseval);
  config.parseval_step = 100.0;
  Training projecting(config, true);
  projecting.run(3);
  projecting.collect(0);
  CHECK(std::isfinite(projecting.losses()[0]));  // whose weights are projected behind it
  CHECK(std::isnan(projecting.losses()[1]));
}

TEST_CASE("who does not ask for losses is refused more steps") {
  TrainingConfig config = small_config("mnist-cnn", SensitivityControl::none);
  config.network.training_precision = kernels::Precision::fp32;
  layers::Network network = layers::make_network(config.network, 1);
  std::vector<Tensor> velocity;
  for (const layers::Parameter* p : network.parameters()) velocity.emplace_back(p->value.shape());
  TrainingStep step(Stream(), config, network);
  for (std::int64_t i = 0; i < 2; ++i) step.run(i, made_batch(network, i), velocity);
  CHECK_FAILS(step.run(2, made_batch(network, 2), velocity), "losses were not asked for");
}
