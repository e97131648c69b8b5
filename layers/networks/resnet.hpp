#pragma once

#include "layers/networks/network_builder.hpp"

namespace pixeldp::layers {

/// The residual network for small images of He et al., "Deep residual learning", 2015, with the
/// names that are usual in PyTorch: 3x3 convolution to 16 channels and batch normalisation; three
/// groups of (depth - 2) / 6 basic blocks with 16, 32 and 64 channels; mean over the pixels; dense
/// ("linear") to the classes. The noise lies in the image or between the first convolution and its
/// batch normalisation.
void build_resnet(NetworkBuilder& net, const NetworkSpec& spec);
/// Throws a usage error where there is no such network.
void check_resnet(const NetworkSpec& spec);

}  // namespace pixeldp::layers
