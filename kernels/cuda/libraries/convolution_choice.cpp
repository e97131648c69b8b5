#include "kernels/cuda/libraries/convolution_choice.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "engine/error.hpp"

namespace pixeldp::kernels {

ConvPolicy parse_conv_policy(std::string_view text) {
  if (text == "own") return ConvPolicy::own;
  if (text == "cudnn") return ConvPolicy::cudnn;
  if (text == "fastest") return ConvPolicy::fastest;
  fail_usage("PIXELDP_CONVOLUTION is \"{}\": it can be own, cudnn or fastest", text);
}

ConvPolicy conv_policy() {
  const char* text = std::getenv("PIXELDP_CONVOLUTION");
  return text != nullptr ? parse_conv_policy(text) : ConvPolicy::own;
}

ConvPath choose_conv_path(std::vector<float> own, std::vector<float> cudnn) {
  constexpr float worth_it = 0.97f;
  const auto usable = [](const std::vector<float>& times) {
    return !times.empty() && std::all_of(times.begin(), times.end(), [](float time) {
      return std::isfinite(time) && time > 0.0f;
    });
  };
  const auto median = [](std::vector<float>& times) {
    const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
    std::nth_element(times.begin(), middle, times.end());
    return *middle;
  };
  if (!usable(own) || !usable(cudnn)) return ConvPath::own;
  return median(cudnn) <= worth_it * median(own) ? ConvPath::cudnn : ConvPath::own;
}

}  // namespace pixeldp::kernels
