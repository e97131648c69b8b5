#pragma once

#include "layers/networks/network_builder.hpp"

namespace pixeldp::layers {

// Classifiers for ImageNet as torchvision has them, with its names, padding and stride. The noise
// lies in the image.

/// Inception-v3 (Szegedy et al. 2016), without its auxiliary head: 23.8 million weights for 1,000
/// classes. Batch normalisation with epsilon .001; average pooling counts the padding. It takes
/// images of 75 pixels on a side at least; ImageNet's have 299.
void build_inception_v3(NetworkBuilder& net, const NetworkSpec& spec);
void check_inception_v3(const NetworkSpec& spec);

/// ResNet-50 (He et al. 2016) with the stride in the 3x3 convolution of a block (version 1.5): 25.6
/// million weights. Images of 32 pixels on a side at least; ImageNet's have 224.
void build_resnet_50(NetworkBuilder& net, const NetworkSpec& spec);
void check_resnet_50(const NetworkSpec& spec);

}  // namespace pixeldp::layers
