#include "bench/rate.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include <fmt/format.h>

namespace pixeldp::bench {
namespace {

double nth(std::vector<double>& values, std::size_t n) {
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(n);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

}  // namespace

double median(std::vector<double> values) { return nth(values, values.size() / 2); }

Rate rate_of(std::vector<double> seconds) {
  const std::size_t count = seconds.size(), quarter = count / 4;
  return {1.0 / nth(seconds, count / 2), 1.0 / nth(seconds, count - 1 - quarter),
          1.0 / nth(seconds, quarter)};
}

std::string why_invalid(const std::vector<double>& samples, const Limits& limits) {
  if (samples.empty()) return "nothing was timed";
  for (const double sample : samples)
    if (!(std::isfinite(sample) && sample > 0.0))
      return fmt::format("a sample of {} seconds is no time", sample);
  const double middle = median(samples);
  if (middle < limits.shortest)
    return fmt::format("too short: {:.2g} us, of {:.2g} needed", 1e6 * middle,
                       1e6 * limits.shortest);
  const Rate rate = rate_of(samples);
  const double scatter = rate.median * (1.0 / rate.low - 1.0 / rate.high);
  if (scatter > limits.widest)
    return fmt::format("too scattered: quartiles {:.0f} % apart, {:.0f} % allowed", 100.0 * scatter,
                       100.0 * limits.widest);
  return "";
}

}  // namespace pixeldp::bench
