#include "pixeldp/stopping.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/error.hpp"
#include "pixeldp/conditions.hpp"

namespace pixeldp {

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

  std::uint64_t beside = 0;
  for (std::size_t c = 0; c < votes.size(); ++c)
    if (c != label) beside = std::max(beside, votes[c]);
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
  const double reachable = reachable_radius(stopping, statistics, selected, calibration);
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
