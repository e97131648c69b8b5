#pragma once

#include "layers/networks/network_spec.hpp"

namespace pixeldp::layers {

/// What residual networks for small images have in common: a 3x3 convolution to 16 channels, then
/// three groups of as many blocks, the first of groups 2 and 3 with stride 2.
struct ResidualGroups {
  static constexpr std::int64_t first_channels = 16, groups = 3;

  std::int64_t blocks = 0;    ///< of a group
  std::int64_t widening = 1;  ///< group g has 16 * 2^g * widening channels

  /// For a depth of 6 blocks + `more`. Throws a usage error that names the architecture where there
  /// is no such network, or it cannot take the images, or its noise.
  ResidualGroups(const NetworkSpec& spec, std::int64_t more, std::int64_t widened);

  /// Calls block(name, out_c, stride) for each block in turn: "layer1.0", "layer1.1", ...
  template <class Block>
  void for_each(Block block) const {
    for (std::int64_t g = 0; g < groups; ++g) {
      for (std::int64_t b = 0; b < blocks; ++b) {
        block("layer" + std::to_string(g + 1) + "." + std::to_string(b),
              (first_channels << g) * widening, b == 0 && g > 0 ? 2 : 1);
      }
    }
  }
};

}  // namespace pixeldp::layers
