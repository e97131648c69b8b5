#pragma once

#include <cmath>
#include <cstdint>

#include "layers/networks/network_spec.hpp"
#include "tests/reference/values.hpp"

namespace pixeldp::tests {

/// A residual network as small as they get, for images of 8x8 pixels and 3 channels: wide with
/// depth 10 and width 1, or plain of depth 8.
inline layers::NetworkSpec small_resnet_spec(const std::string& architecture, int position = 1) {
  const bool wide = architecture == "wide-resnet";
  return {.architecture = architecture,
          .height = 8,
          .width = 8,
          .channels = 3,
          .noise_after_layers = position,
          .depth = wide ? 10 : 8,
          .widening = wide ? 1 : 0};
}

/// Gives batch normalisations parameters and statistics that are not those they begin with, as
/// after some training.
inline void unsettle_normalisations(layers::Network& network) {
  std::uint64_t seed = 1000;
  const auto change = [&](Tensor& tensor, float centre, float width) {
    const auto random = reference::reals(tensor.size(), ++seed);
    for (std::int64_t i = 0; i < tensor.size(); ++i)
      tensor.data()[i] = centre + width * random[static_cast<std::size_t>(i)];
  };
  for (layers::Parameter* p : network.parameters()) {
    if (p->decays) continue;  // scales and shifts do not
    change(p->value, p->name.ends_with(".weight") ? 1.0f : 0.0f, 0.5f);
  }
  for (layers::LayerBuffer* b : network.buffers())
    if (b->saved) change(b->value, b->not_negative ? 1.0f : 0.0f, 0.5f);
}

}  // namespace pixeldp::tests
