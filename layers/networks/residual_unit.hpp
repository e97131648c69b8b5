#pragma once

#include <string>

#include "layers/batch_norm.hpp"
#include "layers/networks/network_builder.hpp"

namespace pixeldp::layers {

// Residual units with two 3x3 convolutions, the first with the stride. The shortcut is the identity
// where resolution and channels stay.

/// The unit of wide residual networks, activations before convolutions (He et al., "Identity
/// mappings in deep residual networks", 2016), whose shortcut takes means of stride x stride
/// pixels:
///
///   a = activation(bn1(x)),  y = conv2(activation(bn2(conv1(a)))) + shortcut(x)
///
/// The first unit of a network takes its shortcut from a (`activate_shortcut`).
Value residual_unit(NetworkBuilder& net, const std::string& name, Value x, std::int64_t out_c,
                    std::int64_t stride, kernels::Activation activation, bool activate_shortcut);

/// The block of the first residual networks (He et al., "Deep residual learning", 2015) with the
/// shortcut of option A, which takes every stride-th pixel, and PyTorch's padding and batch
/// normalisation:
///
///   y = relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x))
Value basic_block(NetworkBuilder& net, const std::string& name, Value x, std::int64_t out_c,
                  std::int64_t stride);

/// Batch normalisation as PyTorch's networks have it.
BatchNorm::Options pytorch_norm(std::int64_t channels, kernels::Activation activation);

}  // namespace pixeldp::layers
