#include "bench/training_steps.hpp"

#include <filesystem>
#include <random>

#include "bench/timing.hpp"
#include "pixeldp/model.hpp"

namespace pixeldp::bench {

TrainingSteps::TrainingSteps(const Stream& stream, const TrainingConfig& config)
    : stream_(stream),
      config_(config),
      network_(layers::make_network(config.network, config.seed)),
      step_(stream_, config_, network_) {
  network_.move_to(stream_, stream.device());
  apply_calibration(config.calibration, network_);
  for (const layers::Parameter* parameter : network_.parameters())
    velocity_.emplace_back(parameter->value.shape(), stream.device());
  batch_.images = Tensor(network_.input().with_rows(config.batch));
}

double TrainingSteps::step() {
  next_batch();
  return seconds([&] {
    step_.run(done_++, batch_, velocity_);
    step_.collect(0, [](std::int64_t, const kernels::LossResult&) {});
  });
}

double TrainingSteps::projection() {
  return seconds([&] {
    step_.control_sensitivity();
    stream_.synchronize();
  });
}

void TrainingSteps::next_batch() {
  std::mt19937 random(static_cast<std::uint32_t>(done_));
  std::uniform_real_distribution<float> pixel(-0.5f, 0.5f);
  std::uniform_int_distribution<std::int32_t> label(0, network_.classes() - 1);
  for (float& value : batch_.images.values()) value = pixel(random);
  batch_.rows.clear();
  batch_.labels.clear();
  for (std::int64_t i = 0; i < config_.batch; ++i) {
    batch_.rows.push_back({.source = i,
                           .image = static_cast<std::uint32_t>(i),
                           .draw = static_cast<std::uint32_t>(done_)});
    batch_.labels.push_back(label(random));
  }
}

TrainingConfig training_config(const std::string& source_folder, const char* file,
                               std::int64_t batch) {
  const auto path = std::filesystem::path(source_folder) / "configs" / file;
  TrainingConfig config = read_training_config(ConfigNode::load(path));
  if (batch > 0) config.batch = batch;
  return config;
}

TrainingConfig without_noise(TrainingConfig config) {
  config.calibration = {};
  config.control = SensitivityControl::none;
  return config;
}

}  // namespace pixeldp::bench
