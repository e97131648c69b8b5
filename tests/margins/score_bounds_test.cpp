#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "engine/error.hpp"
#include "kernels/formulas/bounds.hpp"
#include "pixeldp/bounds.hpp"
#include "tests/margins/check_margin.hpp"
#include "tests/margins/exact.hpp"

/// Bounds of scores against 50 digits: never on the wrong side, and as far on the right one as the
/// margins say. Units are units of roundoff, 2^-53; a margin is 16 of them.

namespace pixeldp::margins {
namespace {

using kernels::MeanBound;

constexpr double smallest = std::numeric_limits<double>::denorm_min();
constexpr std::uint64_t most = kernels::most_draws;
constexpr std::uint64_t draw_counts[] = {1, 2, 3, 300, 10'000, 1'000'000, 1'000'000'000, most};
constexpr double failures[] = {0.5, 0.05, 1e-3, 2.5e-5, 1e-10, 1e-300, 1 - 0x1p-53, 0.99, smallest};

TEST_CASE("the failure probability of one event is alpha's exact share, rounded down") {
  std::vector<double> alphas = {0.05, 1e-3, 1e-10, 0.5, 1 - 0x1p-53, 0x1p-1022, 1e-300};
  std::mt19937_64 random(3);
  for (int i = 0; i < 100; ++i) alphas.push_back(static_cast<double>(random() >> 11) * 0x1p-53);
  const auto events = [](int classes, bool same_draws, bool softmax) {
    if (classes == 2 && !softmax) return same_draws ? 2 : 1;
    return same_draws ? 2 * classes : 2;
  };
  for (const int classes : {2, 3, 10, 1000})
    for (const bool same_draws : {false, true})
      for (const bool softmax : {false, true}) {
        const int count = events(classes, same_draws, softmax);
        for (const double alpha : alphas) {
          CAPTURE(alpha);
          CAPTURE(count);
          const exact::Around truth = exact::share(alpha, count);
          const double share = kernels::one_sided_failure(alpha, classes, same_draws, softmax);
          const double tiny = truth.below < 0x1p-1000 ? 4 * smallest : 0.0;
          check_below(share, truth, 14 * unit * truth.below - tiny, 18 * unit * truth.below + tiny);
        }
        for (int units = 0; units < 50; ++units) {  // of the smallest number: never up
          const double alpha = units * smallest;
          CHECK(kernels::one_sided_failure(alpha, classes, same_draws, softmax) <=
                exact::share(alpha, count).below);
        }
      }
}

/// One bound of k successes, 0 < k < n, by its definition: P(X >= k) = failure at the lower bound.
/// At least half of the error bound of the tail and 12 units are kept away; at most 2.5 error
/// bounds, 1e-13 of the odds and 24 units are lost.
void check_clopper_pearson(std::uint64_t k, std::uint64_t n, double failure) {
  CAPTURE(k);
  CAPTURE(n);
  CAPTURE(failure);
  for (const bool upper : {false, true}) {
    CAPTURE(upper);
    const double bound =
        upper ? clopper_pearson_upper(k, n, failure) : clopper_pearson_lower(k, n, failure);
    if (upper && bound == 1.0) continue;  // sound, and tight as far as a double can say
    const std::uint64_t events = upper ? n - k : k;
    const double rest = upper ? bound : 1.0 - bound, p = upper ? 1.0 - bound : bound;
    const double excess = exact::clopper_pearson_excess(events, n, bound, failure, upper);
    const auto tail = kernels::log_binomial_tail(events, n, {p, rest});
    const auto roundings = [&](double units) {  // what they move ln P(X >= k) by
      return tail.slope * std::log1p(units * unit / (upper ? p : rest));
    };
    CHECK(excess <= 0.0);
    CHECK(excess <= -(roundings(12) + tail.error / 2));
    CHECK(excess >= -(roundings(24) + 2.5 * tail.error + 1e-13 * tail.slope));
  }
}

TEST_CASE("Clopper-Pearson bounds against sums of the binomial distribution") {
  for (const double failure : {0.5, 0.05, 2.5e-3, 1e-10, 1e-100})
    for (const std::uint64_t n : {2, 3, 7, 16, 31, 300})
      for (std::uint64_t k = 1; k < n; k += n == 300 ? 13 : 1) check_clopper_pearson(k, n, failure);
  for (const std::uint64_t n : draw_counts)
    if (n > 300)
      for (const double failure : {0.5, 2.5e-5, 1e-10})
        for (const std::uint64_t k : {std::uint64_t{1}, std::uint64_t{2}, n - 2, n - 1})
          check_clopper_pearson(k, n, failure);
  for (const auto& [k, n] : {std::pair<std::uint64_t, std::uint64_t>{5'000, 10'000},
                             {9'500, 10'000},
                             {500'000, 1'000'000},
                             {999'000, 1'000'000}})
    check_clopper_pearson(k, n, 2.5e-5);
  check_clopper_pearson(most / 16 * 15, most, 2.5e-5);
}

TEST_CASE("Clopper-Pearson bounds where all draws agree, and where none does") {
  for (const std::uint64_t n : draw_counts)
    for (const double failure : failures) {
      CAPTURE(n);
      CAPTURE(failure);
      // Above 1/2 a failure probability counts as 1/2.
      const double counted = std::min(failure, 0.5);
      const double exponent = -std::log(counted) / static_cast<double>(n);
      const exact::Around all = exact::all_agree(n, counted), none = exact::none_agree(n, counted);
      const double lower = clopper_pearson_lower(n, n, failure);
      const double upper = clopper_pearson_upper(0, n, failure);
      const double tiny = all.below < 0x1p-1000 ? 4 * smallest : 0.0;
      check_below(lower, all, (12 + 26 * exponent) * unit * all.below - tiny,
                  (20 + 38 * exponent) * unit * all.below + tiny);
      if (upper < 1.0) {
        const double share = exponent / std::expm1(exponent);
        check_above(upper, none, (11 + 30 * share) * unit * none.below,
                    (22 + 36 * share) * unit * none.below);
      } else {
        CHECK(none.above * (1 + 64 * unit) >= 1.0);
      }
      CHECK(clopper_pearson_lower(0, n, failure) == 0.0);
      CHECK(clopper_pearson_upper(n, n, failure) == 1.0);
    }
  for (const std::uint64_t k : {1, 9, 10}) {
    const double at_half = clopper_pearson_lower(k, 10, 0.5);
    CHECK(clopper_pearson_lower(k, 10, 0.5 - 0x1p-54) <= at_half);
    CHECK(clopper_pearson_lower(k, 10, 0.5 + 0x1p-53) == at_half);
    CHECK(clopper_pearson_lower(k, 10, 0.0) == 0.0);
    CHECK(clopper_pearson_upper(10 - k, 10, 0.0) == 1.0);
  }
  for (const std::uint64_t n : {most + 1, std::uint64_t{1} << 53}) {
    CHECK_THROWS_AS(clopper_pearson_lower(n, n, 0.05), Error);
    CHECK_THROWS_AS(hoeffding_half_width(n, 0.05), Error);
    CHECK_THROWS_AS(empirical_bernstein_half_width(n, 0.0, 0.05), Error);
  }
}

TEST_CASE("the error bound of a binomial tail is twice its error, and the odds heed it") {
  for (std::uint64_t n = 2; n <= 34; ++n)
    for (std::uint64_t k = 1; k < n; ++k)
      for (const double failure : {0.5, 0.01, 1e-20}) {
        CAPTURE(n);
        CAPTURE(k);
        CAPTURE(failure);
        const double odds = kernels::binomial_tail_odds(k, n, failure);
        const auto tail = kernels::log_binomial_tail(k, n, kernels::Odds::of(odds));
        const double truth = exact::log_binomial_tail(k, n, odds).below;
        CHECK(std::abs(tail.log_value - truth) <= tail.error / 2);
        CHECK(truth <= std::log(failure) - tail.error / 2);
        CHECK(clopper_pearson_lower(k, n, failure) <= exact::probability_of(odds).below);
      }
}

TEST_CASE("half-widths of Hoeffding and of empirical Bernstein are rounded up") {
  for (const std::uint64_t n : draw_counts)
    for (const double failure : failures) {
      CAPTURE(n);
      CAPTURE(failure);
      const exact::Around hoeffding = exact::hoeffding_half_width(n, failure);
      check_above(hoeffding_half_width(n, failure), hoeffding, 12 * unit * hoeffding.below,
                  20 * unit * hoeffding.above);
      for (const double variance : {0.0, 0.25, 1.0 / 3, 1e-20, 1e-300}) {
        const double half_width = empirical_bernstein_half_width(n, variance, failure);
        if (n < 2) {
          CHECK(half_width == std::numeric_limits<double>::infinity());
          continue;
        }
        const exact::Around truth = exact::empirical_bernstein_half_width(n, variance, failure);
        check_above(half_width, truth, 11 * unit * truth.below, 21 * unit * truth.above);
      }
    }
}

/// Both sides of a bound by the mean against the least and the largest that the scores allow.
void check_mean_bounds(const exact::Scores& scores) {
  CAPTURE(scores.draws);
  CAPTURE(scores.sum);
  CAPTURE(scores.squares);
  const kernels::MeanAndVariance m =
      scores.fixed_point ? kernels::mean_of_sums(scores.sum, scores.squares, scores.draws)
                         : kernels::mean_of_votes(scores.sum, scores.draws);
  const exact::Around low = exact::least_mean(scores), high = exact::largest_mean(scores);
  CHECK(m.mean_low <= low.below);
  CHECK(m.mean_high >= high.above);
  for (const MeanBound bound : {MeanBound::hoeffding, MeanBound::empirical_bernstein})
    for (const double failure : {0.5, 2.5e-3, 1e-10}) {
      CAPTURE(failure);
      const kernels::ScoreInterval interval = kernels::mean_bounds(bound, m, scores.draws, failure);
      double half_width = 0.0, wider = 0.0;
      if (bound == MeanBound::hoeffding) {
        half_width = exact::hoeffding_half_width(scores.draws, failure).above;
      } else {
        if (scores.draws < 2) {
          CHECK(interval.lower == 0.0);
          CHECK(interval.upper == 1.0);
          continue;
        }
        const double variance = exact::largest_variance(scores).above;
        half_width = exact::empirical_bernstein_half_width(scores.draws, variance, failure).above;
        // The square in single precision is charged twice.
        const double slack = scores.fixed_point ? 0x1.02p-24 * high.above : 0.0;
        wider =
            exact::empirical_bernstein_half_width(scores.draws, variance + slack, failure).above -
            half_width;
      }
      const double all = 1.0 + high.above + half_width;
      const exact::Around lower = exact::lower_bound(bound, scores, failure);
      const exact::Around upper = exact::upper_bound(bound, scores, failure);
      if (lower.below > 0.0)
        check_below(interval.lower, lower, 10 * unit * all, 28 * unit * all + wider);
      else
        CHECK(interval.lower == 0.0);
      if (upper.above < 1.0)
        check_above(interval.upper, upper, 10 * unit * all, 28 * unit * all + wider);
      else
        CHECK(interval.upper == 1.0);
    }
}

TEST_CASE("bounds of votes by their mean") {
  for (const std::uint64_t n : draw_counts)
    for (const std::uint64_t votes :
         {std::uint64_t{0}, std::uint64_t{1}, n / 3, n / 2, n - n / 50, n - 1, n})
      check_mean_bounds(exact::votes(n, votes));
}

TEST_CASE("bounds of softmax scores by their mean allow for the worst rounding of every draw") {
  constexpr std::uint64_t one = std::uint64_t{1} << 32;
  for (const std::uint64_t n : draw_counts) {
    check_mean_bounds(exact::sums(n, 0, 0));
    check_mean_bounds(exact::sums(n, n, 0));                    // scores of one unit
    check_mean_bounds(exact::sums(n, n << 32, n << 32));        // scores of 1
    check_mean_bounds(exact::sums(n, n << 32, (n << 32) + n));  // the most there can be
    check_mean_bounds(exact::sums(n, n * (one - 1), n * (one - 2)));
    check_mean_bounds(exact::sums(n, n * (one / 2), n * (one / 4)));  // 1/2, always
    check_mean_bounds(exact::sums(n, n / 2 << 32, n / 2 << 32));      // 1 every other time
    check_mean_bounds(exact::sums(n, n * (one / 8 * 7), n * (one / 16 * 13)));
    check_mean_bounds(exact::sums(n, n * 12345, n * 12345 / 40000));
  }
}

// Scores in units, as they are and as they are counted.
struct Drawn {
  std::vector<double> scores;
  std::uint64_t sum = 0, squares = 0;
  void add(double score, std::uint64_t counted) {
    scores.push_back(score * 0x1p-32);
    sum += counted;
    const double square = score * 0x1p-32 * score;
    // To single precision and to the unit, both down: half of the smallest part each.
    const double single = square * (1.0 - 0x1p-24);
    squares += static_cast<std::uint64_t>(std::max(0.0, std::ceil(single - 0.5)));
  }
};

TEST_CASE("scores half a unit beside what was counted lie within the least and the largest") {
  std::mt19937_64 random(5);
  for (const int draws : {2, 3, 10, 300})
    for (const double largest : {3.0, 0x1p16, 0x1p32 - 1})
      for (const bool up : {false, true}) {
        CAPTURE(draws);
        CAPTURE(largest);
        Drawn drawn;
        for (int i = 0; i < draws; ++i) {
          const double score =
              0.5 + std::floor(largest * static_cast<double>(random() >> 11) * 0x1p-53);
          drawn.add(score, static_cast<std::uint64_t>(score) + (up ? 1 : 0));
        }
        const auto n = static_cast<std::uint64_t>(draws);
        const exact::Scores counted = exact::sums(n, drawn.sum, drawn.squares);
        const exact::Around mean = exact::mean_of(drawn.scores);
        CHECK((up ? exact::least_mean(counted).below : exact::largest_mean(counted).below) ==
              mean.below);
        const double variance = exact::variance_of(drawn.scores).above;
        CHECK(exact::largest_variance(counted).above >= variance);
        CHECK(kernels::mean_of_sums(drawn.sum, drawn.squares, n).variance >= variance);
      }
}

TEST_CASE("the upper bound of the others is at least what the lower bound leaves") {
  std::vector<double> lowers = {0.0, smallest, 0x1p-54, 0x1p-53, 0.5, 0.75, 1 - 0x1p-53, 1.0};
  std::mt19937_64 random(7);
  for (int i = 0; i < 200; ++i) lowers.push_back(static_cast<double>(random() >> 11) * 0x1p-53);
  for (int i = 0; i < 200; ++i)
    lowers.push_back(std::ldexp(static_cast<double>(random() >> 11), -53 - i / 4));
  for (const double lower : lowers) {
    CAPTURE(lower);
    const exact::Around rest = exact::complement(lower);
    check_above(kernels::upper_beside(lower, 2.0, 10, false), rest, 0.0, 0x1p-52);
    for (const std::int64_t classes : {2, 10, 1000}) {
      // Softmax outputs add up to 1 and a unit of single precision per class, and 8 more.
      const double beyond = static_cast<double>(classes + 8) * 0x1p-23;
      check_above(kernels::upper_beside(lower, 2.0, classes, true), rest, beyond * (1 - 1e-6),
                  beyond * (1 + 1e-6));
      CHECK(kernels::upper_beside(lower, 0.0, classes, true) == 0.0);
    }
    CHECK(kernels::upper_beside(lower, rest.below / 2, 10, false) == rest.below / 2);
  }
}

TEST_CASE("bounds of a prediction, each at its share of alpha") {
  constexpr double alpha = 0.05;
  struct Case {
    int classes;
    Selection selection;
    int events;
  };
  for (const Case& c :
       {Case{2, Selection::same_draws, 2}, Case{2, Selection::separate_draws, 1},
        Case{3, Selection::same_draws, 6}, Case{3, Selection::separate_draws, 2},
        Case{1000, Selection::same_draws, 2000}, Case{1000, Selection::separate_draws, 2}})
    for (const std::uint64_t top : {300, 299, 151, 150}) {
      CAPTURE(c.classes);
      CAPTURE(top);
      const double failure = exact::share(alpha, c.events).below;
      ScoreStatistics votes{.draws = 300, .votes = {}, .sums = {}, .squares = {}};
      votes.votes.assign(static_cast<std::size_t>(c.classes), 0);
      votes.votes[0] = top, votes.votes[1] = 300 - top;
      const ScoreBounds exactly =
          score_bounds(votes, ScoreType::argmax, Bound::clopper_pearson, alpha, c.selection);
      for (const std::size_t label : {0, 1}) {
        const std::uint64_t k = votes.votes[label];
        if (k > 0) {
          const double excess =
              exact::clopper_pearson_excess(k, 300, exactly.lower[label], failure);
          CHECK(excess <= 0.0);
          CHECK(excess >= -1e-6);
        }
        if (k < 300) {
          const double excess =
              exact::clopper_pearson_excess(300 - k, 300, exactly.upper[label], failure, true);
          CHECK(excess <= 0.0);
          CHECK(excess >= -1e-6);
        }
      }
      const ScoreBounds by_mean =
          score_bounds(votes, ScoreType::argmax, Bound::hoeffding, alpha, c.selection);
      const exact::Around lower =
          exact::lower_bound(MeanBound::hoeffding, exact::votes(300, top), failure);
      check_below(by_mean.lower[0], lower, 0.0, 1e-14);
      ScoreStatistics soft{.draws = 300, .votes = {}, .sums = votes.votes, .squares = {}};
      for (std::uint64_t& sum : soft.sums) sum <<= 32;
      soft.squares = soft.sums;
      const int soft_events = c.selection == Selection::same_draws ? 2 * c.classes : 2;
      const double soft_failure = exact::share(alpha, soft_events).below;
      const ScoreBounds softmax =
          score_bounds(soft, ScoreType::softmax, Bound::empirical_bernstein, alpha, c.selection);
      const exact::Around soft_lower =
          exact::lower_bound(MeanBound::empirical_bernstein,
                             exact::sums(300, soft.sums[0], soft.squares[0]), soft_failure);
      check_below(softmax.lower[0], soft_lower, 0.0, 1e-4);
    }
}

}  // namespace
}  // namespace pixeldp::margins
