#include <string>
#include <vector>

#include <fmt/format.h>

#include "bench/parts.hpp"
#include "bench/timing.hpp"
#include "bench/training_steps.hpp"
#include "pixeldp/precision.hpp"

namespace pixeldp::bench {
namespace {

TrainingConfig configuration(const Options& options, const char* file) {
  return training_config(options.source_folder, file, options.batch);
}

/// A network in training, and its noise layer.
class Training : public TrainingSteps {
 public:
  explicit Training(const TrainingConfig& config)
      : TrainingSteps(Stream(), config),
        noise_shape_(network().noise_shape(config.batch)),
        clean_(noise_shape_),
        noisy_(noise_shape_) {}

  /// Seconds of the noise layer's forward pass alone, which also activates.
  double noise() {
    const Stream stream;
    const layers::Pass pass{.stream = stream, .draws = {.seed = 1, .rows = batch().rows}};
    const Tensor* const x = &clean_;
    layers::Saved nothing;
    return seconds([&] { network().noise->forward(pass, {&x, 1}, noisy_, nothing); });
  }

 private:
  Shape noise_shape_;
  Tensor clean_, noisy_;
};

void measure(const Options& options, const char* file, const std::string& name, Report& report) {
  // One step is too short to tell a hundredth of it: many turns do.
  constexpr int turns_per_repetition = 20;
  const TrainingConfig config = configuration(options, file);
  Training with(config), without(without_noise(config));
  const Turns turns(
      options.repetitions * turns_per_repetition,
      {[&] { return with.step(); }, [&] { return without.step(); }, [&] { return with.noise(); },
       [&] { return without.noise(); }, [&] { return with.projection(); }});
  const std::string what = fmt::format("{}, training step of {} images", name, config.batch);
  const Rate rate = turns.rate(0) * static_cast<double>(config.batch);
  report.line({what,
               rate,
               "images/s",
               turns.ratio(0, 1),
               "time without noise layer and projection",
               {Target::ratio_at_most(1.01)}});
  report.line({what, rate, "images/s", turns.ratio(2, 1) - turns.ratio(3, 1),
               "the same: share of making and adding the noise"});
  report.line({what, rate, "images/s", turns.ratio(4, 1), "the same: share of the projection"});
}

/// Steps in a precision against steps in fp32.
void measure_precision(const Options& options, kernels::Precision precision, TrainingConfig config,
                       const std::string& what, Report& report,
                       const std::vector<Target>& targets = {}) {
  const auto in = [&](kernels::Precision chosen) {
    config.network.training_precision = chosen;
    return config;
  };
  Training chosen(in(precision)), fp32(in(kernels::Precision::fp32));
  const Turns turns(options.repetitions,
                    {[&] { return chosen.step(); }, [&] { return fp32.step(); }});
  report.line(
      {fmt::format("{}, training step of {} images, {}", what, config.batch, name(precision)),
       turns.rate(0) * static_cast<double>(config.batch), "images/s", turns.speedup(0, 1), "fp32",
       targets});
}

}  // namespace

void training(const Options& options, Report& report) {
  measure(options, "mnist/l0.1.yaml", "MNIST CNN", report);
  measure(options, "cifar-10-small/l0.1.yaml", "WRN-16-1", report);
  using kernels::Precision;
  const auto wide = [&](std::int64_t widening) {
    TrainingConfig config = configuration(options, "cifar-10-small/l0.1.yaml");
    config.network.widening = widening;
    return config;
  };
  measure_precision(options, Precision::tf32, wide(4), "WRN-16-4", report,
                    {Target::ratio_at_least(1.3)});
  if (const std::string obstacle = kernels::product_obstacle(Precision::bf16); !obstacle.empty()) {
    report.note(obstacle);
    return;
  }
  measure_precision(options, Precision::bf16, configuration(options, "mnist/l0.1.yaml"),
                    "MNIST CNN", report);
  for (const std::int64_t widening : {1, 4})
    measure_precision(options, Precision::bf16, wide(widening), fmt::format("WRN-16-{}", widening),
                      report);
}

}  // namespace pixeldp::bench
