#include "kernels/local_response.hpp"

#include <algorithm>
#include <cmath>

#include "engine/error.hpp"

namespace pixeldp::kernels {

LocalResponse::LocalResponse(const LocalResponseParams& params, std::int64_t pixels,
                             std::int64_t channels)
    : params_(params), pixels_(pixels), channels_(channels) {
  if (pixels < 1 || channels < 1)
    fail("{} of {} pixels of {} channels makes nothing", name(), pixels, channels);
  check(params);
}

/// s of each channel of a pixel.
std::vector<double> LocalResponse::sums(const float* pixel) const {
  std::vector<double> s(static_cast<std::size_t>(channels_));
  for (std::int64_t c = 0; c < channels_; ++c) {
    const std::int64_t first = std::max<std::int64_t>(c - before(), 0),
                       last = std::min(c + after(), channels_ - 1);
    double squares = 0.0;
    for (std::int64_t k = first; k <= last; ++k) squares += double{pixel[k]} * double{pixel[k]};
    s[static_cast<std::size_t>(c)] =
        params_.bias + double{params_.alpha} / static_cast<double>(params_.window) * squares;
  }
  return s;
}

void LocalResponse::run(std::span<const float* const> x, float* y) const {
  const float* pixel = x[0];
  for (std::int64_t p = 0; p < pixels_; ++p, pixel += channels_, y += channels_) {
    const std::vector<double> s = sums(pixel);
    for (std::int64_t c = 0; c < channels_; ++c)
      y[c] = static_cast<float>(pixel[c] / std::pow(s[static_cast<std::size_t>(c)], params_.beta));
  }
}

void LocalResponse::backward(std::span<const float* const> x, const float*, const float* dy,
                             std::span<float* const> dx) const {
  if (!dx[0]) return;
  const float* pixel = x[0];
  float* to = dx[0];
  const double factor =
      2.0 * double{params_.alpha} * double{params_.beta} / static_cast<double>(params_.window);
  for (std::int64_t p = 0; p < pixels_; ++p, pixel += channels_, dy += channels_, to += channels_) {
    const std::vector<double> s = sums(pixel);
    for (std::int64_t k = 0; k < channels_; ++k) {
      // The windows that channel k lies in.
      const std::int64_t first = std::max<std::int64_t>(k - after(), 0),
                         last = std::min(k + before(), channels_ - 1);
      double sum = 0.0;
      for (std::int64_t c = first; c <= last; ++c)
        sum += double{dy[c]} * double{pixel[c]} *
               std::pow(s[static_cast<std::size_t>(c)], -double{params_.beta} - 1.0);
      to[k] = static_cast<float>(
          dy[k] * std::pow(s[static_cast<std::size_t>(k)], -double{params_.beta}) -
          factor * pixel[k] * sum);
    }
  }
}

}  // namespace pixeldp::kernels
