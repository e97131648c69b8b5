#include "pixeldp/attacks/attack.hpp"

#include <algorithm>
#include <cmath>

#include "engine/error.hpp"
#include "engine/named.hpp"
#include "pixeldp/attacks/ball.hpp"
#include "pixeldp/conditions.hpp"

namespace pixeldp {

std::string_view name(AttackKind kind) {
  switch (kind) {
    case AttackKind::cw:
      return "cw";
    case AttackKind::pgd:
      return "pgd";
    case AttackKind::fgsm:
      return "fgsm";
    case AttackKind::random:
      return "random";
  }
  fail("not an attack: {}", static_cast<int>(kind));
}

AttackKind parse_attack_kind(std::string_view text) {
  return value_named(text, "attack", attack_kinds, name);
}

AttackOptions usual_attack(AttackKind kind, AttackNorm norm, std::optional<double> size,
                           std::optional<double> certified, bool noisy) {
  AttackOptions o{.kind = kind, .norm = norm, .size = size, .certified = certified};
  switch (kind) {
    case AttackKind::cw:
      o.draws = 20;
      o.loss = certified ? DrawsLoss::margin : DrawsLoss::hinge;
      break;
    case AttackKind::pgd:
      o.restarts = 15;
      if (norm == AttackNorm::linf && size && std::isfinite(*size)) {
        const double grey_levels = 255.0 * std::clamp(*size, 0.0, 1.0);
        o.steps =
            static_cast<std::int64_t>(std::ceil(std::max(grey_levels + 8.0, 1.5 * grey_levels)));
        o.step = 0.003;
      }
      break;
    case AttackKind::fgsm:
      o.steps = 1;
      break;
    case AttackKind::random:
      o.steps = 0;
      o.restarts = 100;
      break;
  }
  if (certified) o.check_draws = o.judge_draws;
  if (!noisy) o.draws = o.check_draws = o.judge_draws = 1;
  return o;
}

std::string attack_text(const AttackOptions& o) {
  std::string text = fmt::format("{} in the norm {}", name(o.kind), name(o.norm));
  if (o.size) text += fmt::format(", size {}", *o.size);
  if (o.kind == AttackKind::cw) text += fmt::format(", {} searches, rate {}", o.searches, o.rate);
  if (o.steps > 0) text += fmt::format(", {} steps", o.steps);
  text += fmt::format(", {} starts", o.restarts);
  if (o.kind != AttackKind::random)
    text += fmt::format(", {} draws a gradient ({})", o.draws, name(o.loss));
  text += fmt::format(", judged by {}", o.judge_draws);
  if (o.targeted) text += ", targeted";
  if (o.certified) text += fmt::format(", against predictions certified at {}", *o.certified);
  return text;
}

void check_attack(const AttackOptions& o, std::int64_t values, int classes,
                  const Calibration& calibration, bool radii) {
  const std::string_view attack = name(o.kind);
  if (o.kind == AttackKind::cw && o.norm != AttackNorm::l2)
    fail_usage("--norm {}: cw minimises the 2-norm; use pgd for others", name(o.norm));
  const double widest = largest_distance(o.norm, values);
  if (o.size && !(*o.size > 0.0 && *o.size <= widest)) {
    fail_usage(
        "--size {}: no two pictures of {} values from 0 to 1 are farther apart than {} in the norm "
        "{}, and a size is above 0",
        *o.size, values, rounded(widest, false), name(o.norm));
  }
  if (!o.size && o.kind != AttackKind::cw && !radii)
    fail_usage("--size is missing: {} looks for pictures up to that distance", attack);
  if (o.kind == AttackKind::random && o.targeted)
    fail_usage("--targeted: random pictures aim at nothing");
  if (o.warm_start && o.kind != AttackKind::cw)
    fail_usage("--warm-start is for cw, which searches more than once, not for {}", attack);
  if (!(o.rate > 0.0 && o.rate <= 1.0))
    fail_usage("--rate {}: Adam's rate is above 0, and 1 at most", o.rate);
  const auto at_least = [&](std::string_view option, std::int64_t value, std::int64_t least) {
    if (value < least) fail_usage("{} {}: {} takes at least {}", option, value, attack, least);
  };
  at_least("--steps", o.steps, o.kind == AttackKind::random ? 0 : 1);
  at_least("--restarts", o.restarts, 1);
  at_least("--draws", o.draws, 1);
  at_least("--judge-draws", o.judge_draws, 1);
  const bool noisy = calibration.mechanism != Mechanism::none;
  at_least("--check-draws", o.check_draws, noisy ? 10 : 1);
  if (!noisy && (o.draws > 1 || o.check_draws > 1 || o.judge_draws > 1))
    fail_usage("the model has no noise: all its draws are the same, and one is enough");
  const auto searches = static_cast<double>(o.kind == AttackKind::cw ? o.searches : 1);
  const double gradients =
      static_cast<double>(o.restarts) * searches * static_cast<double>(o.steps);
  if (gradients * o.draws >= 0x1p31 || o.check_draws >= 0x1p31) {
    fail_usage(
        "{} gradients of {} draws, and {} to check by: the draws of an attack are numbered "
        "by 31 bits",
        gradients, o.draws, o.check_draws);
  }
  if (!o.certified) return;
  if (!noisy)
    fail_usage("--against certified: the model has no noise, and no prediction is certified");
  if (!(std::isfinite(*o.certified) && *o.certified >= 0.0))
    fail_usage("--against certified:{}: a radius is a finite number from 0 up", *o.certified);
  if (o.certificate.scores != ScoreType::argmax)
    fail_usage("--against certified: attacks are judged by votes, not by softmax scores");
  const std::uint32_t draws = std::min(o.check_draws, o.judge_draws);
  const double best =
      best_certificate(draws, classes, calibration, o.certificate, Selection::same_draws).radius;
  if (*o.certified > best || best == 0.0) {
    fail_usage(
        "--against certified:{}: {} draws certify {} at most, whatever the picture; more with "
        "--judge-draws and --check-draws",
        *o.certified, draws, rounded(best, true));
  }
}

}  // namespace pixeldp
