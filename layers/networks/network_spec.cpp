#include "layers/networks/network_spec.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/ranges.h>

#include "engine/error.hpp"
#include "layers/networks/autoencoder.hpp"
#include "layers/networks/imagenet.hpp"
#include "layers/networks/mnist_cnn.hpp"
#include "layers/networks/resnet.hpp"
#include "layers/networks/wide_resnet.hpp"

namespace pixeldp::layers {
namespace {

struct Architecture {
  std::string name;
  void (*check)(const NetworkSpec& spec);
  void (*build)(NetworkBuilder& net, const NetworkSpec& spec);
};

const std::vector<Architecture>& architectures() {
  static const std::vector<Architecture> all = {
      {"mnist-cnn", check_mnist_cnn, build_mnist_cnn},
      {"wide-resnet", check_wide_resnet, build_wide_resnet},
      {"resnet", check_resnet, build_resnet},
      {"resnet-50", check_resnet_50, build_resnet_50},
      {"inception-v3", check_inception_v3, build_inception_v3},
      {"autoencoder", check_autoencoder, build_autoencoder}};
  return all;
}

const Architecture& architecture_of(const NetworkSpec& spec) {
  static const Architecture described = {"graph", check_described, build_described};
  if (spec.architecture == described.name) return described;
  for (const Architecture& architecture : architectures())
    if (architecture.name == spec.architecture) return architecture;
  fail_usage("unknown architecture '{}': this build offers {}", spec.architecture,
             fmt::join(architecture_names(), ", "));
}

void check_sizes(const NetworkSpec& spec) {
  constexpr std::int64_t largest_extent = 4096, most_classes = 100000;
  const auto sane = [](std::int64_t value, std::int64_t most) {
    return value >= 1 && value <= most;
  };
  if (!sane(spec.height, largest_extent) || !sane(spec.width, largest_extent) ||
      !sane(spec.channels, 16) || !sane(spec.classes, most_classes)) {
    fail_usage("a network cannot take images of {}x{}x{} in {} classes", spec.height, spec.width,
               spec.channels, spec.classes);
  }
}

void check_normalisation(const NetworkSpec& spec) {
  const auto& mean = spec.input_mean;
  const auto& deviation = spec.input_deviation;
  const bool sound =
      std::ssize(mean) == spec.channels && mean.size() == deviation.size() &&
      std::all_of(mean.begin(), mean.end(), [](double m) { return std::isfinite(m); }) &&
      std::all_of(deviation.begin(), deviation.end(),
                  [](double d) { return std::isfinite(d) && d >= 1e-6; });
  if (!sound) {
    fail_usage(
        "images of {} channels cannot be normalised by means ({}) and deviations ({}): it takes "
        "one of each for every channel, and deviations of at least 1e-6",
        spec.channels, fmt::join(mean, ", "), fmt::join(deviation, ", "));
  }
}

void check_output(const NetworkSpec& spec) {
  constexpr std::string_view regressing[] = {"mnist-cnn", "wide-resnet", "resnet"};
  if (std::ranges::find(regressing, spec.architecture) == std::end(regressing))
    fail_usage("{} has no real output: choose one of {}", spec.architecture,
               fmt::join(regressing, ", "));
  if (spec.classes != 1)
    fail_usage("a network with a real output has one value at its end, not {}", spec.classes);
  if (const std::string text = kernels::fault(*spec.output); !text.empty()) fail_usage("{}", text);
}

}  // namespace

const std::vector<std::string>& architecture_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Architecture& architecture : architectures()) all.push_back(architecture.name);
    return all;
  }();
  return names;
}

void check_network_spec(const NetworkSpec& spec) {
  check_sizes(spec);
  if (spec.normalises()) check_normalisation(spec);
  if (spec.output) check_output(spec);
  if (spec.normalises() && spec.standardise) {
    fail_usage(
        "images are standardised by their own mean and deviation or normalised by given ones, not "
        "both");
  }
  architecture_of(spec).check(spec);
}

void build_network(NetworkBuilder& net, const NetworkSpec& spec) {
  architecture_of(spec).build(net, spec);
}

Network make_network(const NetworkSpec& spec, std::uint64_t seed) {
  check_network_spec(spec);
  NetworkBuilder net(spec, seed);
  build_network(net, spec);
  return std::move(net).finish();
}

}  // namespace pixeldp::layers
