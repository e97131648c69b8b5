#include "pixeldp/bounds.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <boost/math/distributions/beta.hpp>
#include <doctest/doctest.h>

#include "engine/error.hpp"

namespace pixeldp {
namespace {

// Scores that are multiples of 2^-32 (and their squares too), as they would be summed.
ScoreStatistics softmax(const std::vector<std::vector<double>>& draws) {
  ScoreStatistics s;
  s.draws = draws.size();
  s.sums.assign(draws[0].size(), 0);
  s.squares.assign(draws[0].size(), 0);
  for (const auto& scores : draws)
    for (std::size_t c = 0; c < scores.size(); ++c) {
      s.sums[c] += static_cast<std::uint64_t>(std::llround(scores[c] * 0x1p32));
      s.squares[c] += static_cast<std::uint64_t>(std::llround(scores[c] * scores[c] * 0x1p32));
    }
  return s;
}

TEST_CASE("names of bounds are read back, and others are refused with the list") {
  for (const Bound b : all_bounds) CHECK(parse_bound(name(b)) == b);
  CHECK_THROWS_WITH_AS(parse_bound("wilson"), doctest::Contains("empirical-bernstein"), Error);
}

TEST_CASE(
    "Clopper-Pearson bounds agree with Boost to 1e-10 and never cross it by more than Boost errs") {
  using boost::math::ibeta_inv;
  using boost::math::ibetac_inv;
  for (const std::uint64_t n : {2ull, 7ull, 100ull, 300ull, 2000ull, 1000000ull, 1000000000ull})
    for (const double share : {0.0, 0.02, 0.5, 0.93, 1.0})
      for (const double a : {0.5, 0.025, 0.0025, 1e-9}) {  // beyond, Boost's inverse fails
        const auto k = std::clamp<std::uint64_t>(
            static_cast<std::uint64_t>(static_cast<double>(n) * share), 1, n - 1);
        CAPTURE(n);
        CAPTURE(k);
        CAPTURE(a);
        const auto x = static_cast<double>(k), y = static_cast<double>(n - k);
        // At k = 1 of a billion Boost is 1.5e-12 off what 50 digits give, and this bound 1.2e-14.
        const double oracle = 1e-15 + 2e-21 * static_cast<double>(n);
        const double lower = clopper_pearson_lower(k, n, a);
        const double exact_lower = ibeta_inv(x, y + 1, a);
        CHECK(lower <= exact_lower * (1 + oracle));
        CHECK(lower >= exact_lower * (1 - 1e-10));
        const double upper = clopper_pearson_upper(k, n, a);
        const double exact_upper = ibetac_inv(x + 1, y, a);
        CHECK(upper >= exact_upper * (1 - oracle));
        CHECK(upper <= exact_upper * (1 + 1e-10));
      }
}

TEST_CASE("Clopper-Pearson corners: no success, only successes, extreme probabilities") {
  for (const std::uint64_t n : {1ull, 300ull, 1000000000ull, 4294967295ull}) {
    CHECK(clopper_pearson_lower(0, n, 0.01) == 0.0);
    CHECK(clopper_pearson_upper(n, n, 0.01) == 1.0);
    // p^n = a, with the side of the rounding.
    const long double root = std::exp(std::log(0.01L) / static_cast<long double>(n));
    CHECK(clopper_pearson_lower(n, n, 0.01) <= root);
    CHECK(clopper_pearson_lower(n, n, 0.01) == doctest::Approx(static_cast<double>(root)));
    const long double rest = -std::expm1(std::log(0.01L) / static_cast<long double>(n));
    CHECK(clopper_pearson_upper(0, n, 0.01) >= rest);
    CHECK(clopper_pearson_upper(0, n, 0.01) <= rest * (1 + 1e-13L));
  }
  CHECK(clopper_pearson_lower(1000000000, 1000000000, 1e-300) ==
        doctest::Approx(std::exp(std::log(1e-300) / 1e9)));
  CHECK(clopper_pearson_lower(5, 10, 0.0) == 0.0);
  CHECK(clopper_pearson_upper(5, 10, 0.0) == 1.0);
  CHECK(clopper_pearson_lower(1, 10, std::numeric_limits<double>::denorm_min()) < 1e-300);
  // Above 1/2 the bound stays where it is at 1/2.
  CHECK(clopper_pearson_lower(5, 10, 0.9) == clopper_pearson_lower(5, 10, 0.5));
  CHECK_THROWS_AS(clopper_pearson_lower(11, 10, 0.1), Error);
  CHECK_THROWS_AS(clopper_pearson_lower(0, 0, 0.1), Error);
  CHECK_THROWS_AS(clopper_pearson_lower(1, 10, 1.0), Error);
  CHECK_THROWS_AS(clopper_pearson_lower(1, 10, std::nan("")), Error);
}

TEST_CASE("Clopper-Pearson bounds are monotone and mirror each other") {
  for (const std::uint64_t n : {1ull, 5ull, 64ull}) {
    double last_lower = -1.0, last_upper = -1.0;
    for (std::uint64_t k = 0; k <= n; ++k) {
      const double lower = clopper_pearson_lower(k, n, 0.01);
      const double upper = clopper_pearson_upper(k, n, 0.01);
      const double frequency = static_cast<double>(k) / static_cast<double>(n);
      CHECK(lower > last_lower);
      CHECK(upper > last_upper);
      CHECK((lower < frequency || k == 0));
      CHECK((upper > frequency || k == n));
      CHECK(upper == doctest::Approx(1.0 - clopper_pearson_lower(n - k, n, 0.01)).epsilon(1e-12));
      last_lower = lower;
      last_upper = upper;
    }
  }
}

TEST_CASE("half-widths of Hoeffding and of empirical Bernstein") {
  CHECK(hoeffding_half_width(300, 0.005) == doctest::Approx(0.0939709).epsilon(1e-6));
  CHECK(hoeffding_half_width(300, 0.005) >= std::sqrt(std::log(200.0) / 600.0));
  CHECK(empirical_bernstein_half_width(300, 0.0, 0.005) ==
        doctest::Approx(7 * std::log(400.0) / 897).epsilon(1e-12));
  CHECK(empirical_bernstein_half_width(300, 0.25, 0.005) ==
        doctest::Approx(std::sqrt(0.5 * std::log(400.0) / 300) + 7 * std::log(400.0) / 897));
  CHECK(std::isinf(empirical_bernstein_half_width(1, 0.0, 0.1)));
  CHECK(hoeffding_half_width(10, 0.0) == std::numeric_limits<double>::infinity());
  // With a = 0.05 over K labels, Bernstein without variance falls below 0.025 from these n on.
  for (const auto& [classes, draws] : {std::pair{10, 561}, {100, 776}, {1000, 991}}) {
    const auto n = static_cast<std::uint64_t>(draws);
    CHECK(empirical_bernstein_half_width(n, 0.0, 0.05 / classes) <= 0.025);
    CHECK(empirical_bernstein_half_width(n - 1, 0.0, 0.05 / classes) > 0.025);
  }
}

TEST_CASE("of two classes that share the votes, each bound is the other class's as well") {
  const ScoreStatistics s = statistics_of_votes({270, 30});
  for (const auto& [selection, failure] :
       {std::pair{Selection::same_draws, 0.04}, std::pair{Selection::separate_draws, 0.08}}) {
    const ScoreBounds exact =
        score_bounds(s, ScoreType::argmax, Bound::clopper_pearson, 0.08, selection);
    CHECK(exact.lower[0] == doctest::Approx(clopper_pearson_lower(270, 300, failure)));
    CHECK(exact.upper[1] == doctest::Approx(1 - exact.lower[0]).epsilon(1e-12));
    for (const Bound bound : {Bound::hoeffding, Bound::empirical_bernstein}) {
      const ScoreBounds bounds = score_bounds(s, ScoreType::argmax, bound, 0.08, selection);
      CHECK(bounds.upper[1] == doctest::Approx(1 - bounds.lower[0]).epsilon(1e-12));
    }
    CHECK(score_bounds(s, ScoreType::argmax, Bound::hoeffding, 0.08, selection).lower[0] ==
          doctest::Approx(0.9 - hoeffding_half_width(300, failure)));
  }
  // Softmax outputs in floats add up to 1 only nearly.
  ScoreStatistics soft;
  soft.draws = 300;
  soft.sums = {std::uint64_t{270} << 32, std::uint64_t{30} << 32};
  soft.squares = soft.sums;
  CHECK(score_bounds(soft, ScoreType::softmax, Bound::hoeffding, 0.08, Selection::separate_draws)
            .lower[0] == doctest::Approx(0.9 - hoeffding_half_width(300, 0.04)));
}

TEST_CASE("each prediction's bounds use the failure probability of its selection") {
  const ScoreStatistics s = statistics_of_votes({200, 70, 20, 10});
  const ScoreBounds same =
      score_bounds(s, ScoreType::argmax, Bound::clopper_pearson, 0.08, Selection::same_draws);
  const ScoreBounds separate =
      score_bounds(s, ScoreType::argmax, Bound::clopper_pearson, 0.08, Selection::separate_draws);
  for (std::size_t c = 0; c < 4; ++c) {
    CHECK(same.lower[c] == doctest::Approx(clopper_pearson_lower(s.votes[c], 300, 0.01)));
    CHECK(same.upper[c] == doctest::Approx(clopper_pearson_upper(s.votes[c], 300, 0.01)));
    CHECK(separate.lower[c] == doctest::Approx(clopper_pearson_lower(s.votes[c], 300, 0.04)));
    CHECK(separate.upper[c] == doctest::Approx(clopper_pearson_upper(s.votes[c], 300, 0.04)));
  }
  const ScoreBounds hoeffding =
      score_bounds(s, ScoreType::argmax, Bound::hoeffding, 0.08, Selection::same_draws);
  CHECK(hoeffding.lower[0] == doctest::Approx(200.0 / 300 - hoeffding_half_width(300, 0.01)));
  CHECK(hoeffding.upper[1] == doctest::Approx(70.0 / 300 + hoeffding_half_width(300, 0.01)));
  CHECK(hoeffding.lower[3] == 0.0);
  const ScoreBounds bernstein =
      score_bounds(s, ScoreType::argmax, Bound::empirical_bernstein, 0.08, Selection::same_draws);
  const double variance = 300.0 / 299 * (200.0 / 300) * (100.0 / 300);
  CHECK(bernstein.lower[0] ==
        doctest::Approx(200.0 / 300 - empirical_bernstein_half_width(300, variance, 0.01)));
}

TEST_CASE("pairwise bounds speak of the label with the most votes, where it leads beyond chance") {
  const auto bounds = [](std::vector<std::uint64_t> counts, Selection selection) {
    return score_bounds(statistics_of_votes(std::move(counts)), ScoreType::argmax, Bound::pairwise,
                        0.05, selection);
  };
  const ScoreBounds same = bounds({60, 180, 40, 20}, Selection::same_draws);
  CHECK(same.lower[1] == doctest::Approx(clopper_pearson_lower(180, 300, 0.03)));
  CHECK(same.upper[0] == doctest::Approx(clopper_pearson_upper(60, 300, 0.015)));
  const ScoreBounds separate = bounds({60, 180, 40, 20}, Selection::separate_draws);
  CHECK(separate.lower[1] == doctest::Approx(clopper_pearson_lower(180, 300, 0.04)));
  CHECK(separate.upper[0] == doctest::Approx(clopper_pearson_upper(60, 300, 0.01)));
  const ScoreBounds two = bounds({200, 100}, Selection::same_draws);
  CHECK(two.lower[0] == doctest::Approx(clopper_pearson_lower(200, 300, 0.045)));
  CHECK(two.upper[1] == doctest::Approx(1.0 - two.lower[0]).epsilon(1e-12));
  // 2 P(Bin(n, 1/2) = n) is at most 0.1 * 0.05 from 9 on.
  CHECK(bounds({9, 0, 0}, Selection::same_draws).lower[0] > 0.5);
  for (const auto& counts : {std::vector<std::uint64_t>{8, 0, 0}, {100, 80, 0}, {50, 50, 1}}) {
    const ScoreBounds untold = bounds(counts, Selection::same_draws);
    CHECK(untold.lower == std::vector(3, 0.0));
    CHECK(untold.upper == std::vector(3, 1.0));
  }
}

TEST_CASE("one-sided bounds are the lower one alone, of a label that other draws have chosen") {
  const ScoreStatistics s = statistics_of_votes({280, 15, 5});
  const ScoreBounds bounds =
      score_bounds(s, ScoreType::argmax, Bound::one_sided, 0.05, Selection::separate_draws);
  CHECK(bounds.lower[0] == doctest::Approx(clopper_pearson_lower(280, 300, 0.05)));
  CHECK(bounds.upper == std::vector(3, 1.0));
  CHECK_THROWS_WITH_AS(
      score_bounds(s, ScoreType::argmax, Bound::one_sided, 0.05, Selection::same_draws),
      doctest::Contains("other draws have chosen"), Error);
}

TEST_CASE("softmax bounds: mean and variance from integer sums, errors outwards") {
  std::vector<std::vector<double>> draws;
  for (int i = 0; i < 1000; ++i) {
    const double p = (100 + i % 17) / 256.0;  // exact in units, and so are the squares
    draws.push_back({p, 1.0 - p});
  }
  double mean = 0.0, square = 0.0;
  for (const auto& d : draws) {
    mean += d[0] / 1000;
    square += d[0] * d[0] / 1000;
  }
  const double variance = (square - mean * mean) * 1000 / 999;
  const ScoreBounds b = score_bounds(softmax(draws), ScoreType::softmax, Bound::empirical_bernstein,
                                     0.04, Selection::same_draws);
  const double half_width = empirical_bernstein_half_width(1000, variance, 0.01);
  CHECK(b.lower[0] <= mean - half_width);
  CHECK(b.lower[0] >= mean - half_width - 5e-7);
  CHECK(b.upper[0] >= mean + half_width);
  CHECK(b.upper[0] <= mean + half_width + 5e-7);

  const ScoreBounds h = score_bounds(softmax(draws), ScoreType::softmax, Bound::hoeffding, 0.04,
                                     Selection::same_draws);
  // The rounding of the scores, 2^-33, is part of the half-width.
  CHECK(h.lower[0] <= mean - hoeffding_half_width(1000, 0.01) - 0x1p-33);
  CHECK(h.lower[0] >= mean - hoeffding_half_width(1000, 0.01) - 0x1p-32);
}

TEST_CASE("constant scores have no variance, even a billion of them") {
  for (const std::uint64_t n : {2ull, 300ull, 4294967295ull}) {
    ScoreStatistics s;
    s.draws = n;
    const std::uint64_t third = 0x55555555;  // 1/3, rounded
    s.sums = {n * third, n * (0xFFFFFFFF - third)};
    const auto square = static_cast<std::uint64_t>(std::llround(0x55555555p-32 * 0x55555555p0));
    s.squares = {n * square, n * square};
    const ScoreBounds b = score_bounds(s, ScoreType::softmax, Bound::empirical_bernstein, 0.04,
                                       Selection::same_draws);
    // What the rounding of the squares may hide: a variance of at most 2^-32 and a little.
    const double least = empirical_bernstein_half_width(n, 0.0, 0.01);
    const double most = empirical_bernstein_half_width(n, 1e-6, 0.01);
    CHECK(b.lower[0] >= std::max(0.0, 0x55555555p-32 - most - 1e-9));
    CHECK(b.lower[0] <= std::max(0.0, 0x55555555p-32 - least));
  }
}

TEST_CASE("squares that round to nothing still count as variance") {
  // Every other score is 2^-17: its square is a quarter of the unit and is added as 0.
  std::vector<std::vector<double>> draws;
  for (int i = 0; i < 100000; ++i) draws.push_back({i % 2 * 0x1p-17, 1.0 - i % 2 * 0x1p-17});
  const ScoreStatistics s = softmax(draws);
  REQUIRE(s.squares[0] == 0);
  const ScoreBounds b =
      score_bounds(s, ScoreType::softmax, Bound::empirical_bernstein, 0.04, Selection::same_draws);
  const double variance = 0x1p-36 * 100000 / 99999;
  CHECK(b.upper[0] >= 0x1p-18 + empirical_bernstein_half_width(100000, variance, 0.01));
}

TEST_CASE("statistics that cannot be are refused") {
  const auto bounds = [](const ScoreStatistics& s, ScoreType t, Bound b, double alpha = 0.05) {
    return score_bounds(s, t, b, alpha, Selection::same_draws);
  };
  const ScoreStatistics good = statistics_of_votes({3, 4});
  CHECK_NOTHROW(bounds(good, ScoreType::argmax, Bound::clopper_pearson));
  for (const double alpha : {0.0, 1.0, -0.1, std::nan("")})
    CHECK_THROWS_AS(bounds(good, ScoreType::argmax, Bound::hoeffding, alpha), Error);
  CHECK_THROWS_AS(bounds(statistics_of_votes({0, 0}), ScoreType::argmax, Bound::hoeffding), Error);
  CHECK_THROWS_AS(bounds(statistics_of_votes({7}), ScoreType::argmax, Bound::hoeffding), Error);
  CHECK_THROWS_AS(bounds(good, ScoreType::softmax, Bound::hoeffding), Error);
  ScoreStatistics wrong = good;
  wrong.draws = 8;
  CHECK_THROWS_WITH_AS(bounds(wrong, ScoreType::argmax, Bound::hoeffding),
                       doctest::Contains("7 instead of the 8"), Error);
  wrong.draws = 6;
  CHECK_THROWS_AS(bounds(wrong, ScoreType::argmax, Bound::hoeffding), Error);
  ScoreStatistics soft = softmax({{0.25, 0.75}, {0.5, 0.5}});
  CHECK_THROWS_AS(bounds(soft, ScoreType::softmax, Bound::clopper_pearson), Error);
  soft.squares[0] = soft.sums[0] + 3;
  CHECK_THROWS_AS(bounds(soft, ScoreType::softmax, Bound::hoeffding), Error);
  soft = softmax({{0.25, 0.75}});
  soft.sums[1] = (std::uint64_t{1} << 32) + 1;
  CHECK_THROWS_AS(bounds(soft, ScoreType::softmax, Bound::hoeffding), Error);
}

}  // namespace
}  // namespace pixeldp
