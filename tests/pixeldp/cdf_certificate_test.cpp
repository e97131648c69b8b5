#include "pixeldp/cdf_certificate.hpp"

#include <algorithm>
#include <cmath>
#include <random>

#include <doctest/doctest.h>

#include "engine/error.hpp"
#include "kernels/formulas/bounds.hpp"
#include "pixeldp/bounds.hpp"
#include "pixeldp/special_functions.hpp"

namespace pixeldp {
namespace {

std::vector<double> equal_steps(int count) {
  std::vector<double> thresholds;
  for (int i = 1; i <= count; ++i) thresholds.push_back(static_cast<double>(i) / count);
  return thresholds;
}

TEST_CASE("scores of 0 and 1 have the exact certificate of their probability, whatever the steps") {
  for (const int count : {1, 4, 32})
    for (const double p : {0.5001, 0.6, 0.9, 0.999}) {
      CAPTURE(count);
      CAPTURE(p);
      const TailBounds label{
          equal_steps(count), std::vector<double>(equal_steps(count).size(), p), {}};
      const double size = cdf_attack_size(label, nullptr, 0.0);
      CHECK(size <= normal_quantile_upper(p));
      CHECK(size == doctest::Approx(normal_quantile_lower(p)).epsilon(1e-8));
      CHECK(cdf_attack_size(label, nullptr, 0.01) < size);
      // A rival that has less than the label leaves, in one step, which adds nothing.
      const TailBounds rival{{1e-9}, {}, {(1 - p) / 2}};
      const double apart = (normal_quantile_lower(p) - normal_quantile_lower((1 - p) / 2)) / 2;
      CHECK(cdf_attack_size(label, &rival, 0.0) == doctest::Approx(apart).epsilon(1e-6));
    }
  const TailBounds half{{1.0}, {0.5}, {}};
  CHECK(cdf_attack_size(half, nullptr, 0.0) == 0.0);
  const TailBounds sure{{1.0}, {1.0}, {}};  // of infinitely many draws
  CHECK(cdf_attack_size(sure, nullptr, 0.0) > 60.0);
}

TEST_CASE(
    "300 scores of the law Beta(8, 2): the distribution proves most, betting more than their "
    "variance") {
  // One-sided, at 0.05; the mean of the law itself would prove 0.842.
  constexpr std::uint64_t n = 300;
  constexpr double failure = 0.05;
  double by_variance = 0.0, by_betting = 0.0, by_distribution = 0.0;
  constexpr int samples = 20;
  std::mt19937_64 random(3);
  for (int sample = 0; sample < samples; ++sample) {
    ScoreHistogram histogram{equal_steps(32), std::vector<std::uint64_t>(32, 0), n};
    std::uint64_t sum = 0, squares = 0;
    for (std::uint64_t i = 0; i < n; ++i) {
      // Beta(8, 2) is the second largest of nine uniform numbers.
      double largest = 0.0, second = 0.0;
      for (int j = 0; j < 9; ++j) {
        const double u = static_cast<double>(random() >> 11) * 0x1p-53;
        second = std::max(second, std::min(largest, u));
        largest = std::max(largest, u);
      }
      sum += static_cast<std::uint64_t>(std::llround(second * 0x1p32));
      squares += static_cast<std::uint64_t>(std::llround(second * second * 0x1p32));
      for (std::size_t t = 0; t < 32; ++t)
        histogram.at_least[t] += second >= histogram.thresholds[t];
    }
    const auto mean = kernels::mean_of_sums(sum, squares, n);
    const auto size = [&](Bound bound) {
      return normal_quantile_lower(kernels::mean_bounds(bound, mean, n, failure).lower) / samples;
    };
    by_variance += size(Bound::empirical_bernstein);
    by_betting += size(Bound::betting);
    by_distribution += cdf_attack_size(tail_bounds(histogram, failure), nullptr, 0.0) / samples;
  }
  CHECK(by_variance == doctest::Approx(0.68).epsilon(0.02));
  CHECK(by_betting > by_variance + 0.05);
  CHECK(by_distribution == doctest::Approx(1.17).epsilon(0.02));
}

TEST_CASE("tail bounds share their failure probability out, and refuse what cannot be") {
  const ScoreHistogram histogram{{0.25, 0.5}, {90, 60}, 100};
  const TailBounds bounds = tail_bounds(histogram, 0.1);
  CHECK(bounds.lower[1] == doctest::Approx(clopper_pearson_lower(60, 100, 0.05)).epsilon(1e-12));
  CHECK(bounds.upper[0] == doctest::Approx(clopper_pearson_upper(90, 100, 0.05)).epsilon(1e-12));
  for (const ScoreHistogram& bad :
       {ScoreHistogram{{}, {}, 10}, ScoreHistogram{{0.5}, {1, 2}, 10},
        ScoreHistogram{{0.5, 0.5}, {3, 2}, 10}, ScoreHistogram{{0.0}, {3}, 10},
        ScoreHistogram{{1.5}, {3}, 10}, ScoreHistogram{{std::nan("")}, {3}, 10},
        ScoreHistogram{{0.5, 0.6}, {3, 4}, 10}, ScoreHistogram{{0.5}, {11}, 10}})
    CHECK_THROWS_AS(tail_bounds(bad, 0.1), Error);
  CHECK_THROWS_AS(cdf_attack_size({histogram, histogram}, 2, 0.1, true), Error);
}

}  // namespace
}  // namespace pixeldp
