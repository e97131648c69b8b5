#include "layers/networks/autoencoder.hpp"

#include "engine/error.hpp"
#include "layers/affine.hpp"
#include "layers/batch_norm.hpp"

namespace pixeldp::layers {
namespace {

constexpr auto none = kernels::Activation::identity(), relu = kernels::Activation::relu();

void check_encoder(const NetworkSpec& spec) {
  constexpr std::size_t most_layers = 8;
  constexpr std::int64_t largest_kernel = 31, most_filters = 1024, largest_stride = 8;
  if (spec.encoder.empty() || spec.encoder.size() > most_layers)
    fail_usage("an auto-encoder has 1 to {} layers, not {}", most_layers, spec.encoder.size());
  for (const auto& [kernel, filters, stride] : spec.encoder)
    if (kernel < 1 || kernel > largest_kernel || filters < 1 || filters > most_filters ||
        stride < 1 || stride > std::min(kernel, largest_stride))
      fail_usage(
          "an auto-encoder cannot have {} filters of {}x{} with stride {}: kernels are from 1 to "
          "{}, filters to {}, and no pixel may be left out",
          filters, kernel, kernel, stride, largest_kernel, most_filters);
}

}  // namespace

void check_autoencoder(const NetworkSpec& spec) {
  if (spec.depth != 0 || spec.widening != 0 || spec.slope)
    fail_usage("an auto-encoder has neither depth nor width nor slope: its classifier has");
  if (spec.normalises() || spec.standardise)
    fail_usage("an auto-encoder takes pixels as they are: its classifier normalises its own");
  if (spec.noise_after_layers < 0 || spec.noise_after_layers > 1)
    fail_usage("an auto-encoder takes its noise after 0 or 1 layers, not {}",
               spec.noise_after_layers);
  if (spec.noise_after_layers == 1 && !spec.noise_before_activation)
    fail_usage(
        "an auto-encoder normalises between its first convolution and the activation, so the noise "
        "can only come before both");
  check_encoder(spec);
  if (spec.classifier.size() != 1)
    fail_usage("an auto-encoder has one classifier behind it, not {}", spec.classifier.size());
  const NetworkSpec& classifier = spec.classifier.front();
  if (!classifier.classifier.empty())
    fail_usage("the classifier behind an auto-encoder cannot have one before it itself");
  check_network_spec(classifier);
  if (classifier.height != spec.height || classifier.width != spec.width ||
      classifier.channels != spec.channels || classifier.classes != spec.classes)
    fail_usage(
        "an auto-encoder of images of {}x{}x{} cannot stand before a classifier of {} classes that "
        "takes {}x{}x{}: there are {} classes here",
        spec.height, spec.width, spec.channels, classifier.classes, classifier.height,
        classifier.width, classifier.channels, spec.classes);
}

void build_autoencoder(NetworkBuilder& net, const NetworkSpec& spec) {
  const std::string prefix(autoencoder_prefix);
  const auto normalised = [&](const std::string& name, Value x) {
    return net.append<BatchNorm>(
        {x}, name, BatchNorm::Options{.channels = net.shape(x)[3], .activation = relu});
  };
  Value x = net.start();
  std::vector<NetworkBuilder::Convolved> encoder;
  for (const auto& [kernel, filters, stride] : spec.encoder) {
    const int layer = static_cast<int>(encoder.size()) + 1;
    x = net.convolution_and_noise(
        layer, fmt::format("{}conv{}", prefix, layer), x,
        {.out_c = filters, .kernel = kernel, .stride = stride, .activation = none});
    encoder.push_back(net.last_convolution());
    x = normalised(fmt::format("{}bn{}", prefix, layer), x);
  }
  for (std::size_t layer = encoder.size(); layer > 0; --layer) {
    x = net.transposed(fmt::format("{}deconv{}", prefix, layer), x, encoder[layer - 1]);
    if (layer > 1) x = normalised(fmt::format("{}debn{}", prefix, layer), x);
  }
  x = net.append<Affine>({x}, prefix + "output", Affine::Options{.channels = spec.channels});
  x = net.append<Pointwise>({x}, prefix + "sigmoid",
                            kernels::PointwiseFunction{kernels::PointwiseFunction::Kind::sigmoid});
  net.set_reconstruction(x);
  net.append_network(x, std::string(classifier_prefix), spec.classifier.front());
}

std::vector<EncoderLayer> usual_encoder(std::int64_t height, std::int64_t width) {
  constexpr std::int64_t small = 64;
  if (std::min(height, width) < small) return {{5, 32, 2}, {3, 64, 1}, {3, 64, 1}};
  return {{10, 32, 2}, {8, 32, 2}, {5, 64, 2}};
}

}  // namespace pixeldp::layers
