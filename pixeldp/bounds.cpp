#include "pixeldp/bounds.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "engine/error.hpp"
#include "kernels/draw_statistics.hpp"
#include "pixeldp/special_functions.hpp"

namespace pixeldp {

namespace {

// Sixteen units of roundoff, outwards: more than the roundings of any formula of this file.
constexpr double ulps = 8 * std::numeric_limits<double>::epsilon();
constexpr double up = 1.0 + ulps;
constexpr double down = 1.0 - ulps;

// A score is rounded to the nearest multiple of the unit before it is added.
constexpr double fixed_point_error = kernels::score_unit / 2;

// The address of a draw has 32 bits, and products of sums must fit in 128.
constexpr std::uint64_t most_draws = 0xFFFFFFFF;

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

struct MeanAndVariance {
  double mean_low = 0.0;  // of the exact scores that the fixed-point sums stand for
  double mean_high = 0.0;
  double variance = 0.0;  // unbiased sample variance, rounded up
};

// n sum(s^2) - sum(s)^2 over n (n-1), without cancellation in integers. Infinite for one draw.
double sample_variance(std::uint64_t draws, std::uint64_t sum, unsigned __int128 squares) {
  if (draws < 2) return std::numeric_limits<double>::infinity();
  const unsigned __int128 first = draws * squares;
  const unsigned __int128 second = static_cast<unsigned __int128>(sum) * sum;
  const double n = static_cast<double>(draws);
  return first > second ? static_cast<double>(first - second) / (n * (n - 1.0)) * up : 0.0;
}

MeanAndVariance from_votes(std::uint64_t votes, std::uint64_t draws) {
  const double mean = static_cast<double>(votes) / static_cast<double>(draws);
  return {mean * down, mean * up, sample_variance(draws, votes, votes)};
}

MeanAndVariance from_sums(std::uint64_t sum, std::uint64_t squares, std::uint64_t draws) {
  const double n = static_cast<double>(draws);
  const double mean = static_cast<double>(sum) * kernels::score_unit / n;
  const double mean_square = static_cast<double>(squares) * kernels::score_unit / n;
  // The true squares may be larger than those that were added, by the rounding to the unit and, if
  // a square was formed in floats, by 2^-24 of it (twice that covers that it is the rounded one
  // that is known here); the true mean may be smaller by the rounding of the scores.
  const double slack = fixed_point_error * (1.0 + 2.0 * mean) + 0x1p-23 * mean_square;
  const double exact = sample_variance(draws, sum, static_cast<unsigned __int128>(squares) << 32) *
                       (kernels::score_unit * kernels::score_unit);
  const double variance = (exact + n / std::max(n - 1.0, 1.0) * slack) * up;
  return {mean * down - fixed_point_error, mean * up + fixed_point_error, variance};
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

Bound parse_bound(std::string_view text) {
  for (const Bound bound : {Bound::hoeffding, Bound::empirical_bernstein, Bound::clopper_pearson})
    if (text == name(bound)) return bound;
  fail_usage("unknown bound '{}': use hoeffding, empirical-bernstein or clopper-pearson", text);
}

double clopper_pearson_lower(std::uint64_t successes, std::uint64_t draws, double failure) {
  check_successes(successes, draws);
  check_failure(failure);
  if (successes == 0 || failure == 0.0) return 0.0;
  failure = std::min(failure, 0.5);
  // P(X = n) = p^n
  if (successes == draws) {
    const double log_p = std::log(failure) * up / static_cast<double>(draws);
    return std::exp(log_p * up) * down;
  }
  return Odds::of(binomial_tail_odds(successes, draws, failure)).p * down;
}

double clopper_pearson_upper(std::uint64_t successes, std::uint64_t draws, double failure) {
  check_successes(successes, draws);
  check_failure(failure);
  if (successes == draws || failure == 0.0) return 1.0;
  failure = std::min(failure, 0.5);
  if (successes == 0) {
    const double log_q = std::log(failure) * up / static_cast<double>(draws);
    return std::min(1.0, -std::expm1(log_q * up) * up);
  }
  // The bound of the successes is the complement of the lower bound of the failures.
  return std::min(1.0, Odds::of(binomial_tail_odds(draws - successes, draws, failure)).q * up);
}

double hoeffding_half_width(std::uint64_t draws, double failure) {
  check_draws(draws);
  check_failure(failure);
  return std::sqrt(-std::log(failure) / (2.0 * static_cast<double>(draws))) * up;
}

double empirical_bernstein_half_width(std::uint64_t draws, double variance, double failure) {
  check_draws(draws);
  check_failure(failure);
  if (!(variance >= 0.0)) fail_usage("a variance of {} is out of range", variance);
  if (draws < 2) return std::numeric_limits<double>::infinity();
  const double n = static_cast<double>(draws);
  const double log_term = std::numbers::ln2 - std::log(failure);
  return (std::sqrt(2.0 * variance * log_term / n) + 7.0 * log_term / (3.0 * (n - 1.0))) * up;
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
  const double events =
      selection == Selection::same_draws ? 2.0 * static_cast<double>(classes) : 2.0;
  const double failure = alpha / events * down;

  ScoreBounds bounds{std::vector<double>(classes), std::vector<double>(classes)};
  for (std::size_t c = 0; c < classes; ++c) {
    if (bound == Bound::clopper_pearson) {
      bounds.lower[c] = clopper_pearson_lower(statistics.votes[c], draws, failure);
      bounds.upper[c] = clopper_pearson_upper(statistics.votes[c], draws, failure);
      continue;
    }
    const MeanAndVariance m = type == ScoreType::argmax
                                  ? from_votes(statistics.votes[c], draws)
                                  : from_sums(statistics.sums[c], statistics.squares[c], draws);
    const double half_width = bound == Bound::hoeffding
                                  ? hoeffding_half_width(draws, failure)
                                  : empirical_bernstein_half_width(draws, m.variance, failure);
    bounds.lower[c] = std::max(0.0, m.mean_low - half_width - ulps);
    bounds.upper[c] = std::min(1.0, m.mean_high + half_width + ulps);
  }
  return bounds;
}

}  // namespace pixeldp
