#include "kernels/formulas/failure_shares.hpp"

#include <cmath>
#include <limits>
#include <utility>

#include <doctest/doctest.h>

#include "pixeldp/bounds.hpp"
#include "tests/margins/check_margin.hpp"
#include "tests/margins/exact.hpp"

/// Unequal shares of alpha, and the bounds that are made with them, against 50 digits.

namespace pixeldp::margins {
namespace {

using kernels::MeanBound;

constexpr double smallest = std::numeric_limits<double>::denorm_min();

struct Shares {
  MeanBound bound;
  int classes;
  bool same_draws;
  int test, lower, upper;  ///< in twentieths of alpha
};
constexpr Shares all_shares[] = {
    {MeanBound::pairwise, 2, true, 1, 18, 18},     {MeanBound::pairwise, 3, true, 1, 12, 6},
    {MeanBound::pairwise, 1000, true, 1, 12, 6},   {MeanBound::pairwise, 2, false, 0, 20, 20},
    {MeanBound::pairwise, 3, false, 0, 16, 4},     {MeanBound::one_sided, 2, false, 0, 20, 0},
    {MeanBound::one_sided, 1000, false, 0, 20, 0}, {MeanBound::anytime, 2, false, 0, 20, 20},
    {MeanBound::anytime, 3, false, 0, 16, 4},      {MeanBound::anytime, 2, true, 0, 10, 10},
    {MeanBound::anytime, 5, true, 0, 2, 2}};

TEST_CASE("unequal shares of alpha are rounded down") {
  for (const Shares& s : all_shares)
    for (const double alpha : {0.05, 0.001, 0.3, 1 - unit, 1e-300, 7e-310, 40 * smallest}) {
      CAPTURE(s.classes);
      CAPTURE(alpha);
      const auto shares = kernels::failure_shares(s.bound, alpha, s.classes, s.same_draws, false);
      CHECK(shares.tested == (s.test > 0));
      for (const auto& [share, twentieths] :
           {std::pair{shares.test, s.test}, {shares.lower, s.lower}, {shares.upper, s.upper}}) {
        const exact::Around truth = exact::share(alpha, 20, twentieths);
        const double tiny = truth.below < 0x1p-1000 ? 4 * smallest : 0.0;
        CHECK(share <= truth.below);
        CHECK(share >= truth.below - 20 * unit * truth.below - tiny);
      }
    }
}

TEST_CASE(
    "the pairwise test passes no pair that it should not, and misses none by more than 1e-9") {
  for (const double failure : {0.025, 5e-3, 5e-5, 1e-12, 0x1p-10})
    for (const std::uint64_t first : {1, 6, 10, 17, 150, 280, 5'000, 600'000})
      for (const std::uint64_t second :
           {std::uint64_t{0}, first / 9, first / 2, first * 8 / 10, first * 95 / 100, first}) {
        CAPTURE(failure);
        CAPTURE(first);
        CAPTURE(second);
        const bool passes = kernels::passes_pairwise_test(
            kernels::clopper_pearson(false, first, first + second, failure));
        const double excess = exact::clopper_pearson_excess(first, first + second, 0.5, failure);
        CHECK_FALSE((passes && excess > 0.0));
        CHECK_FALSE((!passes && excess < -1e-9));
      }
}

TEST_CASE("bounds of a prediction, each at its unequal share of alpha") {
  constexpr double alpha = 0.05;
  for (const Shares& s : all_shares)
    for (const std::uint64_t top : {300, 280, 200}) {
      const auto excess =
          s.bound == MeanBound::anytime ? exact::anytime_excess : exact::clopper_pearson_excess;
      CAPTURE(s.classes);
      CAPTURE(top);
      ScoreStatistics votes{.draws = 300, .votes = {}, .sums = {}, .squares = {}};
      votes.votes.assign(static_cast<std::size_t>(s.classes), 0);
      votes.votes[0] = top, votes.votes[1] = 300 - top;
      const ScoreBounds bounds =
          score_bounds(votes, ScoreType::argmax, s.bound, alpha,
                       s.same_draws ? Selection::same_draws : Selection::separate_draws);
      const double lower =
          excess(top, 300, bounds.lower[0], exact::share(alpha, 20, s.lower).below, false);
      CHECK(lower <= 0.0);
      CHECK(lower >= -1e-6);
      if (s.upper == 0) {
        CHECK(bounds.upper[1] == 1.0);
        continue;
      }
      const double upper =
          excess(top, 300, bounds.upper[1], exact::share(alpha, 20, s.upper).below, true);
      CHECK(upper <= 0.0);
      CHECK(upper >= -1e-6);
    }
}

}  // namespace
}  // namespace pixeldp::margins
