#include <fmt/format.h>

#include "bench/network.hpp"
#include "bench/timing.hpp"
#include "pixeldp/image_gradients.hpp"

namespace pixeldp::bench {
namespace {

/// Rows (image, draw) of gradients in images, in fp32, as attacks take them.
class GradientRows {
 public:
  GradientRows(layers::Network& network, std::int64_t images)
      : gradients_(Stream(), network), images_(network.input().with_rows(images)) {
    images_.fill(0.1f);
    for (std::int64_t i = 0; i < images; ++i)
      aimed_.push_back({.id = static_cast<std::uint32_t>(i),
                        .aim = {.label = static_cast<int>(i % network.classes())}});
  }

  /// Seconds per row.
  double operator()(std::uint32_t draws) {
    const auto run = [&] {
      gradients_.run(images_, aimed_, DrawsLoss::cross_entropy, {.seed = 1, .count = draws},
                     result_);
    };
    return seconds(run) / static_cast<double>(images_.rows() * draws);
  }

 private:
  ImageGradients gradients_;
  Tensor images_, result_;
  std::vector<AimedImage> aimed_;
};

void measure(const Options& options, const layers::NetworkSpec& spec, const std::string& name,
             Report& report) {
  constexpr std::uint32_t draws = 20;  // of a gradient of Carlini and Wagner's attack
  layers::Network network = noisy_network(spec);
  Draws forward(network, kernels::Precision::fp32);
  GradientRows rows(network, options.images);
  const Turns turns(options.repetitions,
                    {[&] { return rows(draws); }, [&] { return forward(options.images, draws); }});
  report.line(
      {fmt::format("{}, fp32, gradient rows of {} images by {} draws", name, options.images, draws),
       turns.rate(0), "rows/s", turns.ratio(0, 1), "time of draws without gradients"});
}

}  // namespace

void attacks(const Options& options, Report& report) {
  measure(options, mnist_cnn_spec(), "MNIST CNN", report);
  measure(options, wide_resnet_spec(16, 1), "WRN-16-1", report);
  measure(options, wide_resnet_spec(16, 4), "WRN-16-4", report);
}

}  // namespace pixeldp::bench
