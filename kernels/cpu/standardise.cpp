#include "kernels/standardise.hpp"

#include <cmath>

#include "kernels/cpu/lane_sums.hpp"
#include "kernels/cpu/operations.hpp"

namespace pixeldp::kernels::cpu {
namespace {

/// The sum of f(i) for i below `values`.
template <class F>
double lane_sum(std::int64_t values, F f) {
  double lanes[warp_lanes] = {};
  for (std::int64_t i = 0; i < values; ++i) lanes[i % warp_lanes] += f(i);
  return sum_of_lanes(lanes);
}

struct Moments {
  double mean, deviation;
  bool constant;  ///< the deviation is the least

  Moments(std::int64_t values, const float* x) {
    const auto n = static_cast<double>(values);
    mean = lane_sum(values, [x](std::int64_t i) { return double{x[i]}; }) / n;
    const double squares = lane_sum(values, [x, m = mean](std::int64_t i) {
      const double difference = double{x[i]} - m;
      return difference * difference;
    });
    deviation = std::sqrt(squares / n);
    const double least = 1.0 / std::sqrt(n);
    constant = deviation <= least;
    if (constant) deviation = least;
  }
  double standardised(float x) const { return (double{x} - mean) / deviation; }
};

}  // namespace

void standardise(const Stream&, std::int64_t images, std::int64_t values, const float* x,
                 float* y) {
#pragma omp parallel for
  for (std::int64_t image = 0; image < images; ++image) {
    const float* const from = x + image * values;
    float* const to = y + image * values;
    const Moments moments(values, from);
    for (std::int64_t i = 0; i < values; ++i)
      to[i] = static_cast<float>(moments.standardised(from[i]));
  }
}

void standardise_backward(const Stream&, std::int64_t images, std::int64_t values, const float* x,
                          const float* dy, float* dx) {
#pragma omp parallel for
  for (std::int64_t image = 0; image < images; ++image) {
    const float *const from = x + image * values, *const above = dy + image * values;
    float* const to = dx + image * values;
    const Moments moments(values, from);
    const auto n = static_cast<double>(values);
    const double mean = lane_sum(values, [&](std::int64_t i) { return double{above[i]}; }) / n;
    const double along =
        lane_sum(values,
                 [&](std::int64_t i) { return double{above[i]} * moments.standardised(from[i]); }) /
        n;
    for (std::int64_t i = 0; i < values; ++i) {
      double gradient = double{above[i]} - mean;
      if (!moments.constant) gradient -= moments.standardised(from[i]) * along;
      to[i] = static_cast<float>(gradient / moments.deviation);
    }
  }
}

}  // namespace pixeldp::kernels::cpu
