#include "kernels/row_products.hpp"

#include <algorithm>
#include <cmath>

#include "engine/error.hpp"

namespace pixeldp::kernels {

Multiplication::Multiplication(std::int64_t pixels, std::int64_t channels)
    : pixels_(pixels), channels_(channels) {
  if (pixels < 1 || channels < 1)
    fail("a multiplication of {} pixels of {} channels makes nothing", pixels, channels);
}

void Multiplication::run(std::span<const float* const> x, float* y) const {
  const float *a = x[0], *const b = x[1];
  for (std::int64_t p = 0; p < pixels_; ++p, a += channels_, y += channels_) {
#pragma omp simd
    for (std::int64_t c = 0; c < channels_; ++c) y[c] = a[c] * b[c];
  }
}

void Multiplication::backward(std::span<const float* const> x, const float*, const float* dy,
                              std::span<float* const> dx) const {
  const float *a = x[0], *const b = x[1];
  float *da = dx[0], *const db = dx[1];
  if (db) std::fill_n(db, channels_, 0.0f);
  for (std::int64_t p = 0; p < pixels_; ++p, a += channels_, dy += channels_) {
    for (std::int64_t c = 0; c < channels_; ++c) {
      if (db) db[c] += dy[c] * a[c];
      if (da) da[c] = dy[c] * b[c];
    }
    if (da) da += channels_;
  }
}

Softmax::Softmax(std::int64_t groups, std::int64_t values) : groups_(groups), values_(values) {
  if (groups < 1 || values < 1)
    fail("a softmax of {} groups of {} values makes nothing", groups, values);
}

void Softmax::run(std::span<const float* const> x, float* y) const {
  const float* from = x[0];
  std::vector<double> powers(static_cast<std::size_t>(values_));
  for (std::int64_t g = 0; g < groups_; ++g, from += values_, y += values_) {
    const double highest = *std::max_element(from, from + values_);
    double sum = 0.0;
    for (std::int64_t i = 0; i < values_; ++i)
      sum += powers[static_cast<std::size_t>(i)] = std::exp(from[i] - highest);
    for (std::int64_t i = 0; i < values_; ++i)
      y[i] = static_cast<float>(powers[static_cast<std::size_t>(i)] / sum);
  }
}

void Softmax::backward(std::span<const float* const>, const float* y, const float* dy,
                       std::span<float* const> dx) const {
  if (!dx[0]) return;
  float* to = dx[0];
  for (std::int64_t g = 0; g < groups_; ++g, y += values_, dy += values_, to += values_) {
    double dot = 0.0;
    for (std::int64_t i = 0; i < values_; ++i) dot += double{y[i]} * double{dy[i]};
    for (std::int64_t i = 0; i < values_; ++i)
      to[i] = static_cast<float>(y[i] * (double{dy[i]} - dot));
  }
}

}  // namespace pixeldp::kernels
