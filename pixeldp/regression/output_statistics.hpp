#pragma once

#include <cstdint>

#include "kernels/real_output.hpp"

namespace pixeldp {

/// What is kept of a regression network's draws of one image: integers that merge exactly by
/// addition.
struct OutputStatistics {
  std::uint64_t draws = 0;
  kernels::OutputTotals totals = {};

  /// The mean of the outputs, limited to the range.
  double mean(const kernels::RealOutput& output) const;
  /// The middle of the step of the range in which the median output lies, the lower one of an even
  /// number; at most the upper end.
  double median(const kernels::RealOutput& output) const;
  bool operator==(const OutputStatistics&) const = default;
};

}  // namespace pixeldp
