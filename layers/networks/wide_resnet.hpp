#pragma once

#include "layers/networks/network_builder.hpp"

namespace pixeldp::layers {

/// The wide residual network that PixelDP uses on CIFAR-10, CIFAR-100 and SVHN (Zagoruyko and
/// Komodakis 2016; Lecuyer et al. 2019 take depth 28 and width 10): 3x3 convolution to 16 channels;
/// three groups of (depth - 4) / 6 residual units with 16, 32 and 64 times `widening` channels;
/// batch normalisation; mean over the pixels; dense to the classes. Leaky ReLU of slope spec.slope
/// throughout (Lecuyer et al. 2019: 0.1 on CIFAR, 0 on SVHN), also after the first convolution. The
/// noise lies in the image or after that.
void build_wide_resnet(NetworkBuilder& net, const NetworkSpec& spec);
/// Throws a usage error where there is no such network.
void check_wide_resnet(const NetworkSpec& spec);

}  // namespace pixeldp::layers
