#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace pixeldp::tests {

inline constexpr std::size_t margin = 32;
inline constexpr float sentinel = 12345.0f;

/// The values between margins, by which it shows whether a kernel writes beyond its result.
inline std::vector<float> framed(const std::vector<float>& values) {
  std::vector<float> frame(values.size() + 2 * margin, sentinel);
  std::copy(values.begin(), values.end(), frame.begin() + margin);
  return frame;
}

}  // namespace pixeldp::tests
