#pragma once

namespace pixeldp::kernels {

/// y = x for x > 0, y = slope * x otherwise. Slope 1 is the identity, slope 0 is ReLU.
struct Activation {
  float slope = 1.0f;

  static constexpr Activation identity() { return {1.0f}; }
  static constexpr Activation relu() { return {0.0f}; }
  static constexpr Activation leaky_relu(float slope) { return {slope}; }
  constexpr bool is_identity() const { return slope == 1.0f; }
  constexpr bool operator==(const Activation&) const = default;
};

}  // namespace pixeldp::kernels
