#pragma once

#include <string>
#include <vector>

namespace pixeldp::bench {

/// The middle one; of an even number the upper of the two. There must be one.
double median(std::vector<double> values);

/// Items per second: by the median of several times, and by the quartiles on both sides of it,
/// between which half of the times lie.
struct Rate {
  double median = 0.0, low = 0.0, high = 0.0;

  Rate operator*(double factor) const { return {median * factor, low * factor, high * factor}; }
};

/// From the seconds that an item took, several times.
Rate rate_of(std::vector<double> seconds);

/// What makes a measurement worth nothing.
struct Limits {
  double shortest = 20e-6;  ///< seconds of a sample: CUDA's clock ticks every half microsecond
  double widest = 0.1;      ///< the quartiles' distance, as a share of the median
};

/// Why these samples, in seconds, tell nothing about a speed: there are none, one of them is no
/// time, they are too short or too scattered. Empty where they do.
std::string why_invalid(const std::vector<double>& samples, const Limits& limits);

}  // namespace pixeldp::bench
