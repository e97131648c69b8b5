#include "pixeldp/bounds.hpp"

#include <algorithm>
#include <functional>
#include <map>

#include "engine/error.hpp"
#include "engine/named.hpp"
#include "kernels/formulas/failure_shares.hpp"

namespace pixeldp {

namespace {

using kernels::most_draws;

void check_draws(std::uint64_t draws) {
  if (draws == 0) fail_usage("no draws: a bound needs at least one");
  if (draws > most_draws)
    fail_usage("{} draws are more than the {} that one image can have", draws, most_draws);
}

// Zero is allowed: a share of a tiny alpha may underflow, and then the bounds say nothing.
void check_failure(double failure) {
  if (!(failure >= 0.0 && failure < 1.0))
    fail_usage("failure probability {} is out of range: it must lie between 0 and 1", failure);
}

void check_successes(std::uint64_t successes, std::uint64_t draws) {
  check_draws(draws);
  if (successes > draws) fail_usage("{} successes in only {} draws", successes, draws);
}

void check_statistics(const ScoreStatistics& statistics, ScoreType type) {
  check_draws(statistics.draws);
  const std::uint64_t draws = statistics.draws;
  if (type == ScoreType::argmax) {
    const auto& votes = statistics.votes;
    if (votes.size() < 2)
      fail_usage("argmax scores of {} classes: at least 2 needed", votes.size());
    std::uint64_t left = draws;
    for (const std::uint64_t count : votes) {
      if (count > left) fail("the votes add up to more than the {} draws", draws);
      left -= count;
    }
    if (left != 0) fail("the votes add up to {} instead of the {} draws", draws - left, draws);
    return;
  }
  const auto& sums = statistics.sums;
  const auto& squares = statistics.squares;
  if (sums.size() < 2) fail_usage("softmax scores of {} classes: at least 2 needed", sums.size());
  if (squares.size() != sums.size())
    fail("{} sums of softmax scores but {} sums of their squares", sums.size(), squares.size());
  for (std::size_t c = 0; c < sums.size(); ++c) {
    if (sums[c] > draws << 32)
      fail("class {}: a sum of {} is more than {} scores of at most 1", c, sums[c], draws);
    // A square is at most its score; each of the two is rounded once per draw.
    if (squares[c] > sums[c] + draws)
      fail("class {}: the squares add up to {}, more than the scores ({})", c, squares[c], sums[c]);
  }
}

/// Whether the label with the most votes differs from the next one: kernels::FailureShares::test.
bool leads(std::vector<std::uint64_t> votes, double failure) {
  std::partial_sort(votes.begin(), votes.begin() + 2, votes.end(), std::greater<>());
  return kernels::passes_pairwise_test(
      clopper_pearson_lower(votes[0], votes[0] + votes[1], failure));
}

}  // namespace

std::string_view name(Bound bound) {
  switch (bound) {
    case Bound::hoeffding:
      return "hoeffding";
    case Bound::empirical_bernstein:
      return "empirical-bernstein";
    case Bound::betting:
      return "betting";
    case Bound::clopper_pearson:
      return "clopper-pearson";
    case Bound::pairwise:
      return "pairwise";
    case Bound::one_sided:
      return "one-sided";
    case Bound::anytime:
      return "anytime";
  }
  fail("not a bound: {}", static_cast<int>(bound));
}

Bound parse_bound(std::string_view text) { return value_named(text, "bound", all_bounds, name); }

double clopper_pearson_lower(std::uint64_t successes, std::uint64_t draws, double failure) {
  check_successes(successes, draws);
  check_failure(failure);
  return kernels::clopper_pearson(false, successes, draws, failure);
}

double clopper_pearson_upper(std::uint64_t successes, std::uint64_t draws, double failure) {
  check_successes(successes, draws);
  check_failure(failure);
  return kernels::clopper_pearson(true, successes, draws, failure);
}

double anytime_lower(std::uint64_t successes, std::uint64_t draws, double failure) {
  check_successes(successes, draws);
  check_failure(failure);
  return kernels::bound_of_votes(Bound::anytime, false, successes, draws, failure);
}

double anytime_upper(std::uint64_t successes, std::uint64_t draws, double failure) {
  check_successes(successes, draws);
  check_failure(failure);
  return kernels::bound_of_votes(Bound::anytime, true, successes, draws, failure);
}

double hoeffding_half_width(std::uint64_t draws, double failure) {
  check_draws(draws);
  check_failure(failure);
  return kernels::hoeffding_half_width(draws, failure);
}

double empirical_bernstein_half_width(std::uint64_t draws, double variance, double failure) {
  check_draws(draws);
  check_failure(failure);
  if (!(variance >= 0.0)) fail_usage("a variance of {} is out of range", variance);
  return kernels::empirical_bernstein_half_width(draws, variance, failure);
}

bool suits(Bound bound, ScoreType scores) {
  return scores == ScoreType::argmax || !kernels::is_of_votes(bound) ||
         bound == Bound::clopper_pearson;
}

void check_bound(Bound bound, ScoreType type, Selection selection) {
  if (!suits(bound, type)) {
    fail_usage(
        "the bound {} is for votes: use argmax scores, or hoeffding, empirical-bernstein or "
        "betting for softmax scores",
        name(bound));
  }
  if (bound == Bound::one_sided && selection == Selection::same_draws) {
    fail_usage(
        "the bound one-sided needs a label that other draws have chosen: take selection draws, or "
        "pairwise or clopper-pearson without");
  }
}

ScoreBounds score_bounds(const ScoreStatistics& statistics, ScoreType type, Bound bound,
                         double alpha, Selection selection, int top) {
  if (!(alpha > 0.0 && alpha < 1.0))
    fail_usage("alpha {} is out of range: it must lie between 0 and 1", alpha);
  check_bound(bound, type, selection);
  if (type == ScoreType::softmax && kernels::is_of_votes(bound))
    fail_usage("{} bounds of softmax scores are of their distribution, not of their means",
               name(bound));
  check_statistics(statistics, type);

  const auto classes = static_cast<std::size_t>(statistics.classes());
  const std::uint64_t draws = statistics.draws;
  const kernels::FailureShares shares =
      kernels::failure_shares(bound, alpha, statistics.classes(),
                              selection == Selection::same_draws, type == ScoreType::softmax, top);

  ScoreBounds bounds{std::vector<double>(classes, 0.0), std::vector<double>(classes, 1.0)};
  if (shares.tested && !leads(statistics.votes, shares.test)) return bounds;
  const auto& scores = type == ScoreType::argmax ? statistics.votes : statistics.sums;
  const auto& squares = type == ScoreType::argmax ? statistics.votes : statistics.squares;
  const auto bounds_of = [&](std::uint64_t sum, std::uint64_t square) -> kernels::ScoreInterval {
    if (kernels::is_of_votes(bound)) {
      return {kernels::bound_of_votes(bound, false, sum, draws, shares.lower),
              kernels::bound_of_votes(bound, true, sum, draws, shares.upper)};
    }
    return kernels::mean_bounds(bound,
                                type == ScoreType::argmax
                                    ? kernels::mean_of_votes(sum, draws)
                                    : kernels::mean_of_sums(sum, square, draws),
                                draws, shares.lower);
  };
  std::map<std::pair<std::uint64_t, std::uint64_t>, kernels::ScoreInterval>
      known;  // many are alike
  for (std::size_t c = 0; c < classes; ++c) {
    const auto [at, is_new] = known.try_emplace({scores[c], squares[c]});
    if (is_new) at->second = bounds_of(scores[c], squares[c]);
    bounds.lower[c] = at->second.lower;
    bounds.upper[c] = at->second.upper;
  }
  return bounds;
}

}  // namespace pixeldp
