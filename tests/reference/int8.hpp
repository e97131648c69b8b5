#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

/// Rounding of values to bytes, by its definition.
namespace pixeldp::reference {

/// round(clamp(v * inverse_scale, -127, 127)), ties to even; -127 for what is not a number.
inline std::int8_t to_byte(float v, float inverse_scale) {
  const float scaled = v * inverse_scale;
  if (std::isnan(scaled)) return -127;
  return static_cast<std::int8_t>(std::nearbyint(std::clamp(scaled, -127.0f, 127.0f)));
}

/// Values at which rounding with a scale of 1 could go wrong: ties, their neighbours, the ends of
/// the range, and what lies beyond them.
inline std::vector<float> rounding_edges() {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  std::vector<float> edges = {0.0f,
                              std::numeric_limits<float>::denorm_min(),
                              std::numeric_limits<float>::max(),
                              1e9f,
                              8388608.0f,
                              12582912.0f,
                              16777216.0f,
                              infinity};
  for (const float whole : {0.0f, 1.0f, 2.0f, 63.0f, 64.0f, 125.0f, 126.0f, 127.0f, 128.0f, 255.0f})
    for (const float tie : {whole, whole + 0.5f})
      for (const float near : {std::nextafter(tie, -1.0f), tie, std::nextafter(tie, infinity)})
        edges.push_back(near);
  const std::size_t positive = edges.size();
  for (std::size_t i = 0; i < positive; ++i) edges.push_back(-edges[i]);
  edges.push_back(std::numeric_limits<float>::quiet_NaN());
  return edges;
}

}  // namespace pixeldp::reference
