#include "pixeldp/cdf_certificate.hpp"

#include <algorithm>
#include <cmath>
#include <random>

#include <doctest/doctest.h>

#include "engine/error.hpp"
#include "kernels/formulas/bounds.hpp"
#include "pixeldp/bounds.hpp"
#include "pixeldp/special_functions.hpp"
#include "tests/throws_error.hpp"

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

/// The largest mean that a gambler refutes who stakes before each draw by those before it.
double bet_in_order(const std::vector<double>& draws, double failure) {
  const double goal = -std::log(failure), n = static_cast<double>(draws.size());
  const auto log_fortune = [&](double mean) {
    double fortune = 0.0, sum = 0.5, squares = 0.25;  // a score of 1/2, of variance 1/4, before all
    for (std::size_t i = 0; i < draws.size(); ++i) {
      const double before = static_cast<double>(i + 1);
      const double stake = std::sqrt(2.0 * goal / (n * squares / before));
      fortune += std::log1p(std::min(stake, 0.75 / mean) * (draws[i] - mean));
      sum += draws[i];
      const double off = draws[i] - sum / (before + 1.0);
      squares += off * off;
    }
    return fortune;
  };
  double low = 1e-9, high = 1.0;
  for (int halving = 0; halving < 50; ++halving) {
    const double middle = 0.5 * (low + high);
    (log_fortune(middle) >= goal ? low : high) = middle;
  }
  return low;
}

TEST_CASE(
    "300 scores of the law Beta(8, 2): the distribution proves most, betting more than their "
    "variance") {
  // One-sided, at 0.05; the mean of the law itself would prove 0.842. Betting knows the sums of
  // scores and squares alone; gamblers who see the draws one by one, and stake by the variance so
  // far (Waudby-Smith and Ramdas 2024, section 4.2), would prove 0.78. What they lose by the sums
  // is the bound of a fortune by two moments, of which no better one proves more than 0.001 more.
  constexpr std::uint64_t n = 300;
  constexpr double failure = 0.05;
  double by_variance = 0.0, by_betting = 0.0, by_order = 0.0, by_distribution = 0.0;
  constexpr int samples = 20;
  std::mt19937_64 random(3);
  for (int sample = 0; sample < samples; ++sample) {
    ScoreHistogram histogram{equal_steps(32), std::vector<std::uint64_t>(32, 0), n};
    std::uint64_t sum = 0, squares = 0;
    std::vector<double> draws;
    for (std::uint64_t i = 0; i < n; ++i) {
      // Beta(8, 2) is the second largest of nine uniform numbers.
      double largest = 0.0, second = 0.0;
      for (int j = 0; j < 9; ++j) {
        const double u = static_cast<double>(random() >> 11) * 0x1p-53;
        second = std::max(second, std::min(largest, u));
        largest = std::max(largest, u);
      }
      draws.push_back(second);
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
    by_order += normal_quantile_lower(bet_in_order(draws, failure)) / samples;
    by_distribution += cdf_attack_size(tail_bounds(histogram, failure), nullptr, 0.0) / samples;
  }
  CHECK(by_variance == doctest::Approx(0.68).epsilon(0.02));
  CHECK(by_betting > by_variance + 0.05);
  CHECK(by_order == doctest::Approx(0.78).epsilon(0.02));
  CHECK(by_betting > by_order - 0.04);
  CHECK(by_distribution == doctest::Approx(1.17).epsilon(0.02));
}

/// Draws of two classes whose first score is one of 17/32, 24/32 and 31/32, a third each.
ScoreStatistics counted_statistics(std::uint64_t draws) {
  ScoreStatistics all;
  for (std::uint64_t draw = 0; draw < draws; ++draw) {
    const std::uint64_t score = (17 + 7 * (draw % 3)) << 27,
                        rest = (std::uint64_t{1} << 32) - score;
    ScoreStatistics one{.draws = 1, .votes = {1, 0}, .sums = {score, rest}, .squares = {0, 0}};
    one.histogram = histogram_of_draw(one.sums);
    all += one;
  }
  return all;
}

TEST_CASE("the certificate cdf is that of the counted scores, and of these alone") {
  const Calibration noise = {
      .mechanism = Mechanism::gaussian, .noise_scale = 0.5, .sensitivity = 2.0};
  const CertificateOptions options = {.scores = ScoreType::softmax,
                                      .bound = Bound::clopper_pearson,
                                      .kind = CertificateKind::cdf,
                                      .alpha = 0.05};
  const ScoreStatistics statistics = counted_statistics(300);
  CHECK(statistics.histogram[15] == 300);
  CHECK(statistics.histogram[16] == 300);  // 17/32 is reached
  CHECK(statistics.histogram[17] == 200);
  CHECK(statistics.histogram[32 + 14] == 100);
  const std::vector<ScoreHistogram> scores = {histogram_of(statistics, 0),
                                              histogram_of(statistics, 1)};
  for (const bool same_draws : {true, false}) {
    const Certificate c =
        certify(statistics, noise, options, same_draws ? std::nullopt : std::optional(0));
    CHECK(c.prediction == 0);
    CHECK(c.size == cdf_attack_size(scores, 0, 0.05, same_draws));
    CHECK(c.radius == doctest::Approx(c.size / 4));
    CHECK(c.size > 0.0);
    CHECK(c.lower < 0.75);
    CHECK(c.lower > 0.65);
    CHECK(c.upper > 0.25);
    CHECK(c.upper <= 1.0 - c.lower + 1e-5);
  }
  CHECK(certify(statistics, noise, options).size <
        best_certificate(300, 2, noise, options, Selection::same_draws).size);
  CHECK(certify(statistics, noise, options, 1).radius == 0.0);

  ScoreStatistics uncounted = statistics;
  uncounted.histogram.clear();
  CHECK_FAILS(certify(uncounted, noise, options), "--histogram");
  Calibration laplace = noise;
  laplace.mechanism = Mechanism::laplace;
  CHECK_FAILS(certify(statistics, laplace, options), "not for laplace");
  CertificateOptions other = options;
  other.bound = Bound::hoeffding;
  CHECK_FAILS(certify(statistics, noise, other), "not hoeffding bounds of softmax scores");
  other = options;
  other.scores = ScoreType::argmax;
  CHECK_FAILS(certify(statistics, noise, other), "--scores softmax");
  other = options;
  other.kind = CertificateKind::exact;
  CHECK_FAILS(certify(statistics, noise, other), "or the certificate cdf");
  CHECK_FAILS(certified_radius(CertificateKind::cdf, noise, 0.9, 0.1), "certificate cdf");
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
