#include "pixeldp/planning.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "engine/error.hpp"
#include "kernels/formulas/failure_shares.hpp"
#include "pixeldp/conditions.hpp"

namespace pixeldp {
namespace {

/// So many votes in these proportions, rounded down but for the strongest rival's.
ScoreStatistics votes_like(std::span<const std::uint64_t> proportions, std::uint64_t draws) {
  ScoreStatistics statistics{.draws = draws, .votes = {}, .sums = {}, .squares = {}};
  unsigned __int128 total = 0;
  for (const std::uint64_t votes : proportions) total += votes;
  std::uint64_t left = draws;
  for (const std::uint64_t votes : proportions) {
    const auto share = static_cast<unsigned __int128>(votes) * draws / total;
    statistics.votes.push_back(static_cast<std::uint64_t>(share));
    left -= statistics.votes.back();
  }
  *std::max_element(statistics.votes.begin() + 1, statistics.votes.end()) += left;
  return statistics;
}

/// The radius of these votes for label 0, 0 where another one has more.
double radius_of(const ScoreStatistics& statistics, const Calibration& calibration,
                 const CertificateOptions& options, Selection selection) {
  const Certificate certificate =
      certify(statistics, calibration, options,
              selection == Selection::separate_draws ? std::optional(0) : std::nullopt);
  return certificate.prediction == 0 ? certificate.radius : 0.0;
}

double share_of(std::uint64_t votes, std::uint64_t draws) {
  return static_cast<double>(votes) / static_cast<double>(draws);
}

}  // namespace

std::optional<std::uint64_t> draws_for(std::span<const std::uint64_t> proportions, double radius,
                                       const Calibration& calibration,
                                       const CertificateOptions& options, Selection selection) {
  if (proportions.size() < 2)
    fail_usage("votes of {} classes: at least 2 needed", proportions.size());
  const std::uint64_t total =
      std::accumulate(proportions.begin(), proportions.end(), std::uint64_t{0});
  if (total == 0) fail_usage("votes of which there are none");
  const std::uint64_t rival = *std::max_element(proportions.begin() + 1, proportions.end());
  const double own = share_of(proportions[0], total);
  const double beside = options.bound == Bound::one_sided ? 1.0 - own : share_of(rival, total);
  // What infinitely many draws would prove.
  if (proportions[0] <= rival || certified_radius(options.kind, calibration, own, beside) <= radius)
    return std::nullopt;
  const auto enough = [&](std::uint64_t draws) {
    const double here = radius_of(votes_like(proportions, draws), calibration, options, selection);
    return here > 0.0 && here >= radius;
  };
  std::uint64_t none = 0, some = 1;
  while (!enough(some)) {
    if (some == kernels::most_draws) return std::nullopt;
    none = some;
    some = std::min(2 * some, kernels::most_draws);
  }
  while (some - none > 1) {
    const std::uint64_t middle = none + (some - none) / 2;
    (enough(middle) ? some : none) = middle;
  }
  return some;
}

std::string why_not_certified(const ScoreStatistics& statistics, const Calibration& calibration,
                              const CertificateOptions& options, std::optional<int> selected) {
  const Selection selection = selection_of(selected.has_value());
  const Certificate certificate = certify(statistics, calibration, options, selected);
  if (certificate.radius > 0.0) return {};
  const std::string few =
      too_few_draws(statistics.draws, statistics.classes(), calibration, options, selection);
  if (!few.empty()) return few;
  std::vector<std::uint64_t> votes = statistics.votes;
  std::swap(votes[0], votes[static_cast<std::size_t>(certificate.prediction)]);
  std::sort(votes.begin() + 1, votes.end(), std::greater<>());
  if (votes[0] < votes[1])
    return fmt::format("label {} was selected, but another one has more votes: {} against {}",
                       certificate.prediction, votes[1], votes[0]);
  if (votes[0] == votes[1])
    return fmt::format("label {} and another one have the same number of votes, {}",
                       certificate.prediction, votes[0]);
  // A test that was not passed leaves bounds that say nothing.
  const bool untold = certificate.lower == 0.0 && certificate.upper == 1.0;
  const std::string reason =
      untold ? fmt::format(
                   "{} votes against {} could be chance: they do not pass the sign test of "
                   "the bound {}",
                   votes[0], votes[1], name(options.bound))
             : fmt::format(
                   "the {} votes of label {} prove no more than {} of its score, and the "
                   "others may have {} (bound {}, alpha {})",
                   votes[0], certificate.prediction, rounded(certificate.lower, true),
                   rounded(certificate.upper, false), name(options.bound), options.alpha);
  const auto draws = draws_for(votes, 0.0, calibration, options, selection);
  return reason +
         (draws
              ? fmt::format("; if the shares stay as they are, about {} draws will certify", *draws)
              : "; no number of draws with these shares will certify");
}

std::vector<NoisePlan> plan_noise(std::span<const NoisePlace> places, double radius,
                                  CertificateKind kind, double lower, double upper) {
  std::vector<NoisePlan> plans;
  for (const NoisePlace& place : places)
    for (const Mechanism mechanism : noise_mechanisms) {
      const Calibration unit = {.mechanism = mechanism, .noise_scale = 1.0, .sensitivity = 1.0};
      const double size = certified_radius(kind, unit, lower, upper);
      const double deviation = mechanism == Mechanism::laplace ? std::numbers::sqrt2 : 1.0;
      for (const AttackNorm norm : attack_norms) {
        const double sensitivity = largest_change(place.norms, norm, mechanism);
        const double scale = sensitivity * radius / size;
        plans.push_back(
            {place.after, mechanism, norm, sensitivity, scale, deviation * scale / place.gain});
      }
    }
  return plans;
}

const NoisePlan* least_noise(std::span<const NoisePlan> plans, AttackNorm norm) {
  const NoisePlan* least = nullptr;
  for (const NoisePlan& plan : plans)
    if (plan.attack_norm == norm && std::isfinite(plan.in_pixels) &&
        (least == nullptr || plan.in_pixels < least->in_pixels))
      least = &plan;
  return least;
}

}  // namespace pixeldp
