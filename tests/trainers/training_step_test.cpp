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
#include "tests/thread_ranks.hpp"
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

/// The part of a rank.
TrainingBatch made_batch(const layers::Network& network, std::int64_t step,
                         const Communicator& ranks = Communicator::alone()) {
  TrainingBatch batch;
  const std::int64_t rows = batch_size / ranks.size(), first = rows * ranks.rank();
  batch.images = Tensor(network.input().with_rows(rows));
  const std::vector<float> all =
      reference::reals(batch.images.size() * ranks.size(), static_cast<std::uint64_t>(step + 1));
  std::copy_n(all.begin() + batch.images.size() * ranks.rank(), batch.images.size(),
              batch.images.data());
  for (std::int64_t i = 0; i < rows; ++i) {
    batch.rows.push_back({.source = i,
                          .image = static_cast<std::uint32_t>(first + i),
                          .draw = static_cast<std::uint32_t>(step)});
    batch.labels.push_back(static_cast<std::int32_t>((3 * (first + i) + step) % 10));
  }
  return batch;
}

/// Training on the emulated device, whose work is done no sooner than somebody waits for it.
class Training {
 public:
  Training(const TrainingConfig& config, bool graphs, Communicator& ranks = Communicator::alone())
      : config_(config),
        ranks_(ranks),
        network_(layers::make_network(config_.network, 1)),
        stream_(Device{DeviceKind::emulated}) {
    apply_calibration(config_.calibration, network_);
    network_.move_to(stream_, stream_.device());
    for (const layers::Parameter* p : network_.parameters())
      velocity_.emplace_back(p->value.shape(), stream_.device());
    step_.emplace(stream_, config_, network_, ranks_, graphs);
  }

  void run(std::int64_t steps) {
    for (std::int64_t i = 0; i < steps; ++i) {
      step_->run(done_, made_batch(network_, done_, ranks_), velocity_);
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
  double next_loss() { return step_->loss(done_, made_batch(network_, done_, ranks_)); }

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
  Communicator& ranks_;
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

TrainingConfig attacked(const std::string& architecture, const AdversarialTraining& attack) {
  TrainingConfig config = small_config(architecture, SensitivityControl::none);
  config.adversarial = attack;
  config.pixel_shift = -0.5;
  return config;
}

/// What a step consists of, one of each kind.
std::vector<TrainingConfig> small_configs() {
  return {small_config("mnist-cnn", SensitivityControl::parseval),
          small_config("wide-resnet", SensitivityControl::parseval),
          small_config("mnist-cnn", SensitivityControl::normalise_columns),
          small_config("mnist-cnn", SensitivityControl::normalise_rows),
          attacked("mnist-cnn", {AttackNorm::linf, 0.2, 0.1, 2}),
          attacked("wide-resnet", {AttackNorm::l2, 1.0, 0.5, 1})};
}

TEST_CASE("a step that is launched as a graph has the bits of one that is not") {
  for (const TrainingConfig& config : small_configs()) {
    CAPTURE(config.network.architecture);
    CAPTURE(static_cast<int>(config.control));
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
  for (const TrainingConfig& config : small_configs()) {
    CAPTURE(config.network.architecture);
    CAPTURE(static_cast<int>(config.control));
    const emulator::WithSettings with(delayed());
    Training training(config, true);
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
    // Images, addresses, labels, what changes; the loss and the state of the projections. Where
    // attacks begin, and the addresses of all their steps.
    CHECK(tally.copies == (config.adversarial ? 6 + 2 : 6) * steps);
    // For the step before the last, whose pinned memory is wanted: a device is never without work.
    CHECK(tally.event_waits == steps);
    CHECK(training.losses().size() == 2 + steps - TrainingStep::most_unknown);
    const std::int64_t attacks = config.adversarial ? config.adversarial->steps : 0;
    CHECK(tally.ran("row_loss_kernel") == (1 + attacks) * steps);
    CHECK(tally.ran("step_in_ball_kernel") == attacks * steps);
  }
}

TEST_CASE("ranks launch a step as two graphs, with the bits of steps without any") {
  TrainingConfig config = small_config("wide-resnet", SensitivityControl::parseval);
  constexpr int size = 2;
  const auto trained = [&](bool graphs, bool delay) {
    emulator::Settings settings = emulator::settings();
    settings.delay_streams = delay;
    const emulator::WithSettings with(settings);
    std::vector<std::vector<float>> states(size);
    tests::ThreadRanks::run(size, [&](Communicator& ranks) {
      Training training(config, graphs, ranks);
      training.run(1);
      if (graphs) training.next_loss();
      training.run(3);
      states[static_cast<std::size_t>(ranks.rank())] = training.state();
      ranks.barrier();  // what one frees, waits for what the other does
    });
    return states;
  };
  const auto expected = trained(false, false);
  CHECK(trained(true, true) == expected);
  // Statistics of batches over ranks are exchanged in host memory in every layer.
  config.synchronised_batch_norm = true;
  const auto synchronised = trained(true, true);
  CHECK(synchronised == trained(false, false));
  CHECK(synchronised != expected);
}

TEST_CASE("between lines of the log a step of several ranks waits for gradients alone") {
  const emulator::WithSettings with(delayed());
  constexpr int size = 2;
  tests::ThreadRanks::run(size, [&](Communicator& ranks) {
    Training training(small_config("mnist-cnn", SensitivityControl::normalise_columns), true,
                      ranks);
    training.run(2);
    ranks.barrier();
    if (ranks.first()) emulator::reset_work_tally();
    ranks.barrier();
    constexpr std::int64_t steps = 3;
    training.run(steps);
    ranks.barrier();
    if (ranks.first()) {
      const emulator::WorkTally tally = emulator::work_tally();
      CHECK(tally.waits == 0);
      CHECK(tally.allocations == 0);
      CHECK(tally.stream_allocations == 0);
      CHECK(tally.launches == 0);
      CHECK(tally.graph_launches == 2 * size * steps);
      // For the step before the last, for each of three buckets of gradients, and, before these are
      // filled again, for what the last step took from them.
      CHECK(tally.event_waits == (1 + 3 + 1) * size * steps);
    }
    ranks.barrier();
  });
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
