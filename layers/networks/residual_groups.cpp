#include "layers/networks/residual_groups.hpp"

#include "engine/error.hpp"

namespace pixeldp::layers {

ResidualGroups::ResidualGroups(const NetworkSpec& spec, std::int64_t more, std::int64_t widened)
    : blocks((spec.depth - more) / 6), widening(widened) {
  constexpr std::int64_t most_depth = 1210, most_widening = 64;
  if (spec.depth < 6 + more || spec.depth > most_depth || (spec.depth - more) % 6 != 0) {
    fail_usage("there is no {} of depth {}: it must be 6 n + {}, from {} to {}", spec.architecture,
               spec.depth, more, 6 + more, most_depth);
  }
  if (widening < 1 || widening > most_widening) {
    fail_usage("there is no {} of width {}: it must be from 1 to {}", spec.architecture, widening,
               most_widening);
  }
  constexpr std::int64_t strides = 4;
  if (spec.height % strides != 0 || spec.width % strides != 0) {
    fail_usage("{} takes images of a height and width that {} divides, not {}x{}",
               spec.architecture, strides, spec.height, spec.width);
  }
  if (spec.noise_after_layers < 0 || spec.noise_after_layers > 1) {
    fail_usage("{} takes its noise after 0 or 1 layers, not {}", spec.architecture,
               spec.noise_after_layers);
  }
}

}  // namespace pixeldp::layers
