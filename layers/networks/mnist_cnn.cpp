#include "layers/networks/mnist_cnn.hpp"

#include "engine/error.hpp"
#include "layers/conv2d.hpp"
#include "layers/initialise.hpp"

namespace pixeldp::layers {

void check_mnist_cnn(const NetworkSpec& spec) {
  if (spec.noise_after_layers < 0 || spec.noise_after_layers > 2)
    fail_usage("mnist-cnn takes its noise after 0, 1 or 2 layers, not {}", spec.noise_after_layers);
  if (spec.depth != 0 || spec.widening != 0)
    fail_usage("mnist-cnn has neither depth nor width: it is residual networks that have");
  if (spec.slope) fail_usage("mnist-cnn has ReLU of slope 0: it is wide-resnet that has a slope");
}

Network make_mnist_cnn(const NetworkSpec& spec, std::uint64_t seed) {
  constexpr std::int64_t kernel = 5, stride = 2, hidden = 1024;
  constexpr std::int64_t channels[] = {32, 64};
  const int position = spec.noise_after_layers;

  Network net;
  Initialiser initialise(seed);

  // The activation that follows the convolution right before the noise moves behind the noise if
  // asked to.
  net.noise.activation = kernels::Activation::identity();
  Shape shape = {1, spec.height, spec.width, spec.channels};
  for (int i = 0; i < 2; ++i) {
    const bool last_before_noise = i + 1 == position;
    const bool activation_moves = last_before_noise && spec.noise_before_activation;
    if (activation_moves) net.noise.activation = kernels::Activation::relu();
    auto conv = std::make_unique<Conv2d>(
        "conv" + std::to_string(i + 1),
        Conv2d::Options{
            .in_c = shape[3],
            .out_c = channels[i],
            .kernel = kernel,
            .stride = stride,
            .activation =
                activation_moves ? kernels::Activation::identity() : kernels::Activation::relu(),
            .precision = i < position ? kernels::Precision::fp32 : spec.training_precision});
    initialise.convolution(*conv, i < position && spec.rescale_prefix);
    shape = conv->output_shape(shape);
    (i < position ? net.prefix : net.body).push_back(std::move(conv));
  }

  const auto dense = [&](const char* name, std::int64_t in, std::int64_t out,
                         kernels::Activation activation) {
    auto layer = std::make_unique<Dense>(
        name,
        Dense::Options{
            .in = in, .out = out, .activation = activation, .precision = spec.training_precision});
    initialise.dense(*layer);
    return layer;
  };
  net.body.push_back(dense("fc1", shape.row_size(), hidden, kernels::Activation::relu()));
  net.head = dense("fc2", hidden, spec.classes, kernels::Activation::identity());
  return net;
}

}  // namespace pixeldp::layers
