#include "pixeldp/attacks/sanity.hpp"

#include <algorithm>

namespace pixeldp {
namespace {

constexpr double nothing = 0.01;

/// The usual attack of that kind and size, with what was chosen for all of them.
AttackOptions of_kind(AttackKind kind, double size, const AttackOptions& chosen, bool noisy) {
  AttackOptions o = usual_attack(kind, chosen.norm, size, std::nullopt, noisy);
  o.draws = chosen.draws;
  o.judge_draws = chosen.judge_draws;
  o.loss = chosen.loss;
  o.seed = chosen.seed;
  if (kind != AttackKind::pgd) return o;
  o.restarts = chosen.restarts;
  if (chosen.step > 0.0) return o;  // the steps of the size
  o.steps = chosen.steps;
  o.step = 0.0;
  return o;
}

}  // namespace

bool Sanity::falls_to_zero() const { return points.back().accuracy <= nothing; }

bool Sanity::beats_random() const {
  return pgd < accuracy && accuracy - pgd >= 2.0 * (accuracy - random);
}

bool Sanity::beats_one_step() const { return pgd < fgsm || (pgd == fgsm && fgsm <= nothing); }

Sanity check_sanity(
    const AttackOptions& options, std::int64_t values, bool noisy,
    const std::function<std::vector<AttackRecord>(const AttackOptions&)>& attacked) {
  const double largest = largest_distance(options.norm, values);
  const auto left_by = [&](AttackKind kind, double size) {
    return attacked(of_kind(kind, size, options, noisy));
  };
  Sanity sanity;
  for (double size = *options.size;; size = std::min(2.0 * size, largest)) {
    const std::vector<AttackRecord> records = left_by(AttackKind::pgd, size);
    sanity.accuracy = accuracy(records);
    sanity.pgd = accuracy_under_attack(records, size);
    sanity.points.push_back({size, sanity.pgd});
    if (sanity.pgd <= nothing || size == largest) break;
  }
  const auto half = std::ranges::find_if(sanity.points, [&](const Sanity::Point& point) {
    return point.accuracy <= 0.5 * sanity.accuracy;
  });
  const Sanity::Point& at = half == sanity.points.end() ? sanity.points.back() : *half;
  sanity.compared_at = at.size;
  sanity.pgd = at.accuracy;
  sanity.fgsm = accuracy_under_attack(left_by(AttackKind::fgsm, at.size), at.size);
  sanity.random = accuracy_under_attack(left_by(AttackKind::random, at.size), at.size);
  return sanity;
}

}  // namespace pixeldp
