#include <string>
#include <vector>

#include <fmt/format.h>

#include "bench/network.hpp"
#include "bench/timing.hpp"
#include "bench/training_steps.hpp"

namespace pixeldp::bench {
namespace {

/// Predictions of some images by so many draws each, against plain ones: one pass of the same
/// network without noise.
void predictions(const Options& options, const layers::NetworkSpec& spec, const std::string& name,
                 Report& report) {
  constexpr std::int64_t counts[] = {1, 10, 25, 100, 300, 1000};
  layers::Network plain_network = noisy_network(spec);
  plain_network.noise->distribution = kernels::NoiseDistribution::none;
  plain_network.noise->scale = 0.0;
  const layers::Network noisy = noisy_network(spec);
  Draws plain(plain_network, kernels::Precision::fp32), draws(noisy, kernels::Precision::fp32);
  std::vector<Turns::Thing> things = {[&] { return plain(options.images, 1); }};
  for (const std::int64_t count : counts)
    things.push_back(
        [&, count] { return draws(options.images, count) * static_cast<double>(count); });
  const Turns turns(options.repetitions, things);
  for (std::size_t i = 1; i < turns.size(); ++i)
    report.line({fmt::format("{}, fp32, {} draw{}", name, counts[i - 1], i == 1 ? "" : "s"),
                 turns.rate(i), "images/s", turns.ratio(i, 0),
                 fmt::format("time of plain predictions, {} images at a time", options.images)});
}

void training_steps(const Options& options, const char* file, const std::string& name,
                    Report& report) {
  const TrainingConfig config = training_config(options.source_folder, file, options.batch);
  TrainingSteps with(Stream(), config), without(Stream(), without_noise(config));
  const Turns turns(4 * options.repetitions,
                    {[&] { return with.step(); }, [&] { return without.step(); }});
  report.line({fmt::format("{}, training step of {} images", name, config.batch),
               turns.rate(0) * static_cast<double>(config.batch), "images/s", turns.ratio(0, 1),
               "time without noise layer and projection"});
}

}  // namespace

void overhead(const Options& options, Report& report) {
  training_steps(options, "mnist/l0.1.yaml", "MNIST CNN", report);
  training_steps(options, "cifar-10-small/l0.1.yaml", "WRN-16-1", report);
  predictions(options, mnist_cnn_spec(), "MNIST CNN", report);
  predictions(options, wide_resnet_spec(16, 1), "WRN-16-1", report);
}

}  // namespace pixeldp::bench
