#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/formulas/bounds.hpp"
#include "tests/margins/check_margin.hpp"
#include "tests/margins/exact.hpp"
#include "tests/margins/perturbed_functions.hpp"

/// Betting bounds against 50 digits, and against the scores themselves.

namespace pixeldp::margins {
namespace {

using kernels::MeanBound;

TEST_CASE("the gamblers' fortune is bounded from below, by 2^-50 of its terms") {
  for (const std::uint64_t n : {2, 300, 10'000, 1'000'000'000})
    for (const double log_goal : {0.7, 3.0, 20.0, 690.0})
      for (const double spread : {0.0, 1e-6, 0.02, 1.0, 30.0})
        for (const double rise : {0.0, 1e-9, 1e-3, 0.05, 1.0, 1e6}) {
          if (n > 1'000'000 && rise > 0.1) continue;  // beyond the exponents of the oracle
          CAPTURE(n);
          CAPTURE(log_goal);
          CAPTURE(spread);
          CAPTURE(rise);
          const exact::Around truth = exact::log_fortune(rise, spread, n, log_goal);
          const double bound = kernels::log_fortune(rise, spread, static_cast<double>(n), log_goal);
          const double terms = 1.0 + std::abs(truth.below) +
                               static_cast<double>(n) * (1.0 + spread) * (1.0 + std::log1p(rise));
          CHECK(bound <= truth.below);
          CHECK(bound >= truth.below - 0x1p-48 * terms);
        }
}

TEST_CASE("betting bounds of what was counted are bounds of the scores that were drawn") {
  std::mt19937_64 random(8);
  const auto uniform = [&] { return static_cast<double>(random() >> 11) * 0x1p-53; };
  for (const std::size_t n : {2, 10, 300})
    for (const double least : {0.0, 0.5, 0.9})
      for (const double power : {0.1, 1.0, 5.0})
        for (const double failure : {0.3, 0.05, 1e-6}) {
          CAPTURE(n);
          CAPTURE(least);
          CAPTURE(power);
          CAPTURE(failure);
          std::vector<double> scores, mirrored;
          std::uint64_t sum = 0, squares = 0;
          for (std::size_t i = 0; i < n; ++i) {
            const double score = least + (1.0 - least) * std::pow(uniform(), power);
            scores.push_back(score);
            mirrored.push_back(1.0 - score);
            sum += static_cast<std::uint64_t>(std::llround(score * 0x1p32));
            squares += static_cast<std::uint64_t>(std::llround(score * score * 0x1p32));
          }
          const auto m = kernels::mean_of_sums(sum, squares, n);
          const auto bounds = kernels::mean_bounds(MeanBound::betting, m, n, failure);
          CHECK(bounds.lower < m.mean_low);
          CHECK(bounds.upper > m.mean_high);
          if (bounds.lower > 0.0)
            CHECK(exact::betting_excess(scores, bounds.lower, failure) >= 0.0);
          if (bounds.upper < 1.0)
            CHECK(exact::betting_excess(mirrored, 1.0 - bounds.upper, failure) >= 0.0);
          if (n == 300 && least > 0.0) CHECK(bounds.lower > 0.0);
        }
}

TEST_CASE("perturbed: betting bounds, and what a device deducts from them") {
  for (const std::uint64_t n :
       {std::uint64_t{2}, std::uint64_t{300}, std::uint64_t{1'000'000}, kernels::most_draws})
    for (const double centre : {1e-6, 0.3, 0.9, 1 - 0x1p-40})
      for (const double deviation : {0.0, 1e-3, 0.3})
        for (const double failure : {0.5, 0.05, 1e-10, 1e-300}) {
          CAPTURE(n);
          CAPTURE(centre);
          CAPTURE(deviation);
          CAPTURE(failure);
          const double spread = deviation * deviation * centre;
          const auto bound = [&] { return kernels::betting_lower(centre, spread, n, failure); };
          double least = bound(), largest = least;
          for (int way = 0; way < Perturbed::count; ++way) {
            const Perturbed functions(way);
            least = std::min(least, bound());
            largest = std::max(largest, bound());
          }
          CHECK(kernels::device_lower(largest) <= least);
          if (largest == 0.0) continue;
          // Where the errors make most of it, the true fortune at the bound is still enough.
          const double rise = (centre - largest) / largest, log_goal = -std::log(failure);
          const double relative = spread / (centre * centre);
          CHECK(exact::log_fortune(rise, relative, n, log_goal).below >= log_goal * (1 - 1e-14));
        }
}

}  // namespace
}  // namespace pixeldp::margins
