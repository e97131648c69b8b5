#pragma once

#include "layers/networks/network_builder.hpp"

namespace pixeldp::layers {

/// The CNN that PixelDP uses on MNIST (Lecuyer et al. 2019): 5x5 convolution to 32 channels, stride
/// 2; 5x5 to 64, stride 2; dense 1024; dense to the classes; ReLU between. No bias in convolutions.
/// The noise lies in the image or after the first or second layer.
void build_mnist_cnn(NetworkBuilder& net, const NetworkSpec& spec);
/// Throws a usage error where there is no such network.
void check_mnist_cnn(const NetworkSpec& spec);

}  // namespace pixeldp::layers
