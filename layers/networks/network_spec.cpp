#include "layers/networks/network_spec.hpp"

#include "engine/error.hpp"
#include "layers/networks/mnist_cnn.hpp"

namespace pixeldp::layers {

Network make_network(const NetworkSpec& spec, std::uint64_t seed) {
  constexpr std::int64_t largest_extent = 4096, most_classes = 100000;
  const auto sane = [](std::int64_t value, std::int64_t most) {
    return value >= 1 && value <= most;
  };
  if (!sane(spec.height, largest_extent) || !sane(spec.width, largest_extent) ||
      !sane(spec.channels, 16) || !sane(spec.classes, most_classes)) {
    fail_usage("a network cannot take images of {}x{}x{} in {} classes", spec.height, spec.width,
               spec.channels, spec.classes);
  }
  if (spec.architecture == "mnist-cnn") return make_mnist_cnn(spec, seed);
  fail_usage("unknown architecture '{}': this build offers 'mnist-cnn'", spec.architecture);
}

}  // namespace pixeldp::layers
