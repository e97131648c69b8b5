#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace pixeldp::reference {

/// weight [classes, width] times features [width], plus bias [classes] (or null).
inline std::vector<double> logits(const float* features, const float* weight, const float* bias,
                                  std::int64_t width, std::int64_t classes) {
  std::vector<double> result;
  for (std::int64_t c = 0; c < classes; ++c) {
    double sum = bias ? static_cast<double>(bias[c]) : 0.0;
    for (std::int64_t i = 0; i < width; ++i)
      sum += static_cast<double>(features[i]) * static_cast<double>(weight[c * width + i]);
    result.push_back(sum);
  }
  return result;
}

inline std::vector<double> softmax(std::vector<double> logits) {
  const double highest = *std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (double& x : logits) sum += x = std::exp(x - highest);
  for (double& x : logits) x /= sum;
  return logits;
}

}  // namespace pixeldp::reference
