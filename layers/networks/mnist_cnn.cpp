#include "layers/networks/mnist_cnn.hpp"

#include "engine/error.hpp"

namespace pixeldp::layers {

void check_mnist_cnn(const NetworkSpec& spec) {
  if (spec.noise_after_layers < 0 || spec.noise_after_layers > 2)
    fail_usage("mnist-cnn takes its noise after 0, 1 or 2 layers, not {}", spec.noise_after_layers);
  if (spec.depth != 0 || spec.widening != 0)
    fail_usage("mnist-cnn has neither depth nor width: it is residual networks that have");
  if (spec.slope) fail_usage("mnist-cnn has ReLU of slope 0: it is wide-resnet that has a slope");
}

void build_mnist_cnn(NetworkBuilder& net, const NetworkSpec& spec) {
  constexpr auto relu = kernels::Activation::relu();
  Value x = net.start();
  x = net.convolution_and_noise(1, "conv1", x,
                                {.out_c = 32, .kernel = 5, .stride = 2, .activation = relu});
  x = net.convolution_and_noise(2, "conv2", x,
                                {.out_c = 64, .kernel = 5, .stride = 2, .activation = relu});
  x = net.dense("fc1", x, 1024, relu);
  net.dense("fc2", x, spec.classes, kernels::Activation::identity());
}

}  // namespace pixeldp::layers
