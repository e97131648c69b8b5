#include "kernels/rearrangement.hpp"

#include <algorithm>
#include <numeric>

#include "engine/error.hpp"

namespace pixeldp::kernels {

Concatenation::Concatenation(std::int64_t pixels, std::vector<std::int64_t> channels)
    : pixels_(pixels), channels_(std::move(channels)) {
  if (pixels_ < 1 || channels_.empty() || std::ranges::min(channels_) < 1)
    fail("a concatenation of {} values of {} pixels makes nothing", channels_.size(), pixels_);
}

std::vector<std::int64_t> Concatenation::input_sizes() const {
  std::vector<std::int64_t> sizes;
  for (const std::int64_t count : channels_) sizes.push_back(pixels_ * count);
  return sizes;
}

std::int64_t Concatenation::output_size() const {
  return pixels_ * std::accumulate(channels_.begin(), channels_.end(), std::int64_t{0});
}

void Concatenation::run(std::span<const float* const> x, float* y) const {
  for (std::int64_t p = 0; p < pixels_; ++p)
    for (std::size_t i = 0; i < channels_.size(); ++i)
      y = std::copy_n(x[i] + p * channels_[i], channels_[i], y);
}

void Concatenation::backward(std::span<const float* const>, const float*, const float* dy,
                             std::span<float* const> dx) const {
  for (std::int64_t p = 0; p < pixels_; ++p)
    for (std::size_t i = 0; i < channels_.size(); dy += channels_[i++])
      if (dx[i]) std::copy_n(dy, channels_[i], dx[i] + p * channels_[i]);
}

Selection::Selection(SelectionMap map) : map_(std::move(map)) {
  constexpr std::int64_t none = SelectionMap::none;
  const auto within = [](const std::vector<std::int64_t>& places, std::int64_t count) {
    return !places.empty() && std::ranges::all_of(places, [&](std::int64_t place) {
      return place >= none && place < count;
    });
  };
  if (map_.in_pixels < 1 || map_.in_channels < 1 || !within(map_.pixels, map_.in_pixels) ||
      !within(map_.channels, map_.in_channels))
    fail("a selection of {} pixels and {} channels takes what {} pixels of {} channels have not",
         map_.pixels.size(), map_.channels.size(), map_.in_pixels, map_.in_channels);
}

void Selection::run(std::span<const float* const> x, float* y) const {
  for (const std::int64_t pixel : map_.pixels) {
    const float* const from = x[0] + pixel * map_.in_channels;
    for (const std::int64_t channel : map_.channels)
      *y++ = pixel < 0 || channel < 0 ? map_.fill : from[channel];
  }
}

void Selection::backward(std::span<const float* const>, const float*, const float* dy,
                         std::span<float* const> dx) const {
  if (!dx[0]) return;
  std::fill_n(dx[0], input_sizes()[0], 0.0f);
  for (const std::int64_t pixel : map_.pixels)
    for (const std::int64_t channel : map_.channels) {
      if (pixel >= 0 && channel >= 0) dx[0][pixel * map_.in_channels + channel] += *dy;
      ++dy;
    }
}

}  // namespace pixeldp::kernels
