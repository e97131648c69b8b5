#include "pixeldp/stopping.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "engine/error.hpp"
#include "kernels/formulas/special_functions.hpp"
#include "pixeldp/conditions.hpp"

namespace pixeldp {
namespace {

double log_factorial(std::uint64_t n) {
  const auto x = static_cast<double>(n);
  if (n == 0) return 0.0;
  return x * std::log(x) - x + 0.5 * std::log(2.0 * std::numbers::pi * x) +
         kernels::stirling_error(x);
}

double log_choose(std::uint64_t n, std::uint64_t k) {
  return log_factorial(n) - log_factorial(k) - log_factorial(n - k);
}

/// The most votes of a label other than this one.
std::uint64_t most_beside(const std::vector<std::uint64_t>& votes, std::size_t label) {
  std::uint64_t beside = 0;
  for (std::size_t c = 0; c < votes.size(); ++c)
    if (c != label) beside = std::max(beside, votes[c]);
  return beside;
}

}  // namespace

std::string_view name(StoppingRule rule) {
  switch (rule) {
    case StoppingRule::fixed:
      return "fixed";
    case StoppingRule::radius:
      return "radius";
    case StoppingRule::tolerance:
      return "tolerance";
  }
  fail("not a stopping rule: {}", static_cast<int>(rule));
}

std::vector<std::uint64_t> look_numbers(std::uint64_t most_draws) {
  constexpr std::uint64_t step = 32;  // what a block of a GPU draws of an image at a time
  std::vector<std::uint64_t> looks;
  for (std::uint64_t draws = step; draws < most_draws;
       draws += std::max(step, draws / 8 / step * step))
    looks.push_back(draws);
  looks.push_back(most_draws);
  return looks;
}

Stopping stop_by(StoppingRule rule, double target, std::uint64_t most_draws,
                 const CertificateOptions& options) {
  return {.rule = rule,
          .target = target,
          .futility = 0.01,
          .at_last = rule == StoppingRule::radius,
          .looks = look_numbers(most_draws),
          .kind = options.kind,
          .alpha = options.alpha};
}

std::optional<std::string> fault(const Stopping& stopping, std::uint64_t most_draws) {
  switch (stopping.rule) {
    case StoppingRule::fixed:
      if (stopping != Stopping()) return "a fixed number of draws has no target and no looks";
      return std::nullopt;
    case StoppingRule::radius:
      if (!(stopping.target > 0.0 && std::isfinite(stopping.target)))
        return fmt::format("the radius to prove must be a finite number above 0, not {}",
                           stopping.target);
      break;
    case StoppingRule::tolerance:
      if (!(stopping.target > 0.0 && stopping.target < 1.0))
        return fmt::format("the tolerance must lie between 0 and 1, not {}", stopping.target);
      if (stopping.at_last)
        return "a tolerance is of what infinitely many draws would prove, not of the last";
      break;
  }
  if (!(stopping.futility > 0.0 && stopping.futility < 1.0))
    return fmt::format("futility must lie between 0 and 1, but is {}", stopping.futility);
  if (!(stopping.alpha > 0.0 && stopping.alpha < 1.0))
    return fmt::format("the alpha to stop by must lie between 0 and 1, but is {}", stopping.alpha);
  if (auto text = fault(stopping.options(), std::numeric_limits<int>::max())) return text;
  const std::vector<std::uint64_t>& looks = stopping.looks;
  if (looks.empty() || looks.front() == 0 || looks.back() != most_draws ||
      std::ranges::adjacent_find(looks, std::greater_equal()) != looks.end())
    return fmt::format("the looks must rise from above 0 to the {} draws", most_draws);
  return std::nullopt;
}

void check_stopping(const Stopping& stopping, const Calibration& calibration, int classes,
                    std::uint64_t most_draws) {
  if (const auto text = fault(stopping, most_draws)) fail_usage("{}", *text);
  if (stopping.rule == StoppingRule::fixed) return;
  const double most = best_certificate(most_draws, classes, calibration, stopping.options(),
                                       Selection::separate_draws)
                          .radius;
  if (most > 0.0 && (stopping.rule != StoppingRule::radius || most >= stopping.target)) return;
  fail_usage(
      "no outcome of at most {} draws proves {}: where all of them agree the radius is {} ({} "
      "certificate, alpha {}, {} classes); allow more --draws, or ask for less",
      most_draws,
      stopping.rule == StoppingRule::radius ? fmt::format("a radius of {}", stopping.target)
                                            : "any radius",
      rounded(most, true), name(stopping.kind), stopping.alpha, classes);
}

std::uint64_t most_votes_at_last(std::uint64_t votes, std::uint64_t draws, std::uint64_t most,
                                 double failure) {
  const std::uint64_t against = draws - votes, left = most - draws;
  const double mixture = log_factorial(2 * votes) - log_factorial(votes) +
                         log_factorial(2 * against) - log_factorial(against) -
                         log_factorial(draws) -
                         2.0 * static_cast<double>(draws) * std::numbers::ln2;
  const double goal = -std::log(failure);
  const auto possible = [&](std::uint64_t at_last) {
    return log_choose(most, at_last) - log_choose(left, at_last - votes) + mixture < goal;
  };
  // The ratio is least, and at most 1, at the K that make these votes most likely; from there on it
  // rises.
  std::uint64_t low = votes, high = votes + left;
  if (draws > 0) {
    const double likeliest =
        static_cast<double>(votes) / static_cast<double>(draws) * (static_cast<double>(most) + 1.0);
    low = std::clamp(static_cast<std::uint64_t>(likeliest), low, high);
  }
  while (low < high) {
    const std::uint64_t middle = high - (high - low) / 2;
    if (possible(middle))
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

double provable_at_last(const Stopping& stopping, const ScoreStatistics& statistics, int selected,
                        const Calibration& calibration) {
  const std::uint64_t most = stopping.looks.back(), draws = statistics.draws;
  const std::vector<std::uint64_t>& votes = statistics.votes;
  const auto label = static_cast<std::size_t>(selected);
  const std::uint64_t others = votes.size() - 1;
  const bool two = others == 1;

  const std::uint64_t beside = most_beside(votes, label);
  const double failure = two ? stopping.futility : stopping.futility / 2;
  std::uint64_t for_label = most_votes_at_last(votes[label], draws, most, failure), rival = 0;
  if (!two) {
    rival = most -
            most_votes_at_last(draws - beside, draws, most, failure / static_cast<double>(others));
    for_label = std::min(for_label, most - rival);
  }
  // The draws for others, shared out so that the strongest of them has as few as it can.
  std::uint64_t rest = most - for_label;
  rival = std::max(rival, (rest + others - 1) / others);
  ScoreStatistics last{.draws = most,
                       .votes = std::vector<std::uint64_t>(votes.size(), 0),
                       .sums = {},
                       .squares = {}};
  for (std::size_t c = 0; c < votes.size(); ++c) {
    if (c == label) continue;
    last.votes[c] = std::min(rival, rest);
    rest -= last.votes[c];
  }
  last.votes[label] = for_label;
  return certify(last, calibration, stopping.options(), selected).radius;
}

double reachable_radius(const Stopping& stopping, const ScoreStatistics& statistics, int selected,
                        const Calibration& calibration) {
  const std::uint64_t most_draws = stopping.looks.back();
  const double futility = stopping.futility;
  const std::vector<std::uint64_t>& votes = statistics.votes;
  const std::uint64_t draws = statistics.draws;
  const auto label = static_cast<std::size_t>(selected);
  ScoreStatistics last{.draws = most_draws, .votes = votes, .sums = {}, .squares = {}};
  last.votes[label] += most_draws - draws;
  const double at_last = certify(last, calibration, stopping.options(), selected).radius;

  const std::uint64_t beside = most_beside(votes, label);
  const auto others = static_cast<double>(votes.size() - 1);
  const bool two = votes.size() == 2;
  const double upper = anytime_upper(votes[label], draws, two ? futility : futility / 2);
  double rival = (1.0 - upper) / others;
  if (!two) rival = std::max(rival, anytime_lower(beside, draws, futility / 2 / others));
  return std::min(at_last, certified_radius(stopping.kind, calibration, upper, rival));
}

bool has_enough(const Stopping& stopping, const ScoreStatistics& statistics, int selected,
                const Calibration& calibration) {
  if (stopping.rule == StoppingRule::fixed) return true;
  const double proved = certify(statistics, calibration, stopping.options(), selected).radius;
  const double reachable = (stopping.at_last ? provable_at_last : reachable_radius)(
      stopping, statistics, selected, calibration);
  switch (stopping.rule) {
    case StoppingRule::fixed:
      break;
    case StoppingRule::radius:
      return proved >= stopping.target || reachable < stopping.target;
    case StoppingRule::tolerance:
      return proved >= (1.0 - stopping.target) * reachable;
  }
  fail("not a stopping rule: {}", static_cast<int>(stopping.rule));
}

}  // namespace pixeldp
