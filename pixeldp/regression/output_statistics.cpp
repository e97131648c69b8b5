#include "pixeldp/regression/output_statistics.hpp"

#include <algorithm>

#include "kernels/draw_statistics.hpp"

namespace pixeldp {

double OutputStatistics::mean(const kernels::RealOutput& output) const {
  const double unit = kernels::score_unit / static_cast<double>(draws);
  return static_cast<double>(totals.positive) * unit * std::max(output.high, 0.0) +
         static_cast<double>(totals.negative) * unit * std::min(output.low, 0.0);
}

double OutputStatistics::median(const kernels::RealOutput& output) const {
  std::uint64_t below = 0;
  int step = 0;
  while (2 * (below += totals.counts[static_cast<std::size_t>(step)]) < draws) ++step;
  return output.at(std::min(1.0, (step + 0.5) / kernels::output_steps));
}

}  // namespace pixeldp
