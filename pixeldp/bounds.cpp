#include "pixeldp/bounds.hpp"

#include "engine/error.hpp"
#include "engine/named.hpp"
#include "kernels/formulas/bounds.hpp"

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

}  // namespace

std::string_view name(Bound bound) {
  switch (bound) {
    case Bound::hoeffding:
      return "hoeffding";
    case Bound::empirical_bernstein:
      return "empirical-bernstein";
    case Bound::clopper_pearson:
      return "clopper-pearson";
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

ScoreBounds score_bounds(const ScoreStatistics& statistics, ScoreType type, Bound bound,
                         double alpha, Selection selection) {
  if (!(alpha > 0.0 && alpha < 1.0))
    fail_usage("alpha {} is out of range: it must lie between 0 and 1", alpha);
  if (bound == Bound::clopper_pearson && type != ScoreType::argmax)
    fail_usage("clopper-pearson bounds need argmax scores: use hoeffding or empirical-bernstein");
  check_statistics(statistics, type);

  const auto classes = static_cast<std::size_t>(statistics.classes());
  const std::uint64_t draws = statistics.draws;
  const double failure = kernels::one_sided_failure(
      alpha, statistics.classes(), selection == Selection::same_draws, type == ScoreType::softmax);

  ScoreBounds bounds{std::vector<double>(classes), std::vector<double>(classes)};
  for (std::size_t c = 0; c < classes; ++c) {
    if (bound == Bound::clopper_pearson) {
      bounds.lower[c] = clopper_pearson_lower(statistics.votes[c], draws, failure);
      bounds.upper[c] = clopper_pearson_upper(statistics.votes[c], draws, failure);
      continue;
    }
    const kernels::MeanAndVariance m =
        type == ScoreType::argmax
            ? kernels::mean_of_votes(statistics.votes[c], draws)
            : kernels::mean_of_sums(statistics.sums[c], statistics.squares[c], draws);
    const kernels::ScoreInterval interval = kernels::mean_bounds(bound, m, draws, failure);
    bounds.lower[c] = interval.lower;
    bounds.upper[c] = interval.upper;
  }
  return bounds;
}

}  // namespace pixeldp
