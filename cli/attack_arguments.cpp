#include "cli/attack_arguments.hpp"

#include "cli/regression.hpp"
#include "engine/error.hpp"
#include "engine/named.hpp"
#include "engine/text.hpp"
#include "pixeldp/regression/output_attack.hpp"

namespace pixeldp::cli {
namespace {

/// The radius of "certified:T"; none of "prediction".
std::optional<double> parse_against(const std::string& text) {
  if (text == "prediction") return std::nullopt;
  constexpr std::string_view start = "certified:";
  if (text.starts_with(start))
    if (const auto radius = parse_number<double>(text.substr(start.size()))) return radius;
  fail_usage("--against takes prediction, or certified:T with a radius T, not '{}'", text);
}

}  // namespace

void AttackArguments::add_to(CLI::App& command) {
  command
      .add_option("--attack", attack_,
                  "cw: the nearest success by Carlini and Wagner; pgd: projected gradient descent; "
                  "fgsm: one step; random: pictures from the ball")
      ->check(CLI::IsMember(names_of(attack_kinds, name)))
      ->capture_default_str();
  command.add_option("--norm", norm_, "Norm of distances (default: the one of the model's noise)")
      ->check(CLI::IsMember(names_of(attack_norms, name)));
  command.add_option("--size", size_,
                     "How far a picture may be, in units where a pixel spans 1; cw looks farther, "
                     "and counts what lies within");
  command.add_option("--steps", steps_, "Steps down the gradient (default: as in the paper)");
  command.add_option("--restarts", restarts_,
                     "Places to start from; of random: pictures (default: pgd 15, of a regression "
                     "network 2, cw 1, random 100)");
  command.add_option("--searches", searches_, "Constants that cw tries (default: 9)");
  command.add_option(
      "--rate", rate_,
      "Adam's rate in cw (default: 0.01, which moves black and white pixels little)");
  command.add_flag("--warm-start", warm_start_,
                   "cw goes on from its nearest success, not from the image");
  command.add_option("--draws", draws_, "Draws of a gradient (default: cw 20, others 10)");
  command
      .add_option("--loss", loss_,
                  "What gradients are of (default: cw hinge, or margin against certified; others "
                  "cross-entropy)")
      ->check(CLI::IsMember(names_of(draws_losses, name)));
  command.add_flag("--targeted", targeted_,
                   "Towards one other label of each image, drawn at random");
  command
      .add_option("--against", against_,
                  "What a success is: a wrong prediction, or one that is wrong and certified at "
                  "radius T, by --alpha, --bound and --certificate")
      ->type_name("prediction|certified:T")
      ->capture_default_str();
  command.add_option("--check-draws", check_draws_,
                     "Draws by which cw tells its own successes (default: 200)");
  command.add_option("--judge-draws", judge_draws_,
                     "Draws, which no attack sees, that judge it (default: 500)");
  certificate_.add_to(command);
  add_seed_option(command, seed_);
}

AttackNorm AttackArguments::norm(const Calibration& calibration) const {
  return norm_.empty() ? calibration.attack_norm : parse_attack_norm(norm_);
}

void AttackArguments::give_to(AttackOptions& o) const {
  const auto take = [](auto& option, const auto& given) {
    if (given) option = *given;
  };
  if (steps_ && o.kind == AttackKind::pgd) o.step = 0.0;
  if (steps_ && o.kind != AttackKind::pgd && o.kind != AttackKind::cw)
    fail_usage("--steps is for cw and pgd: {} makes one or none", name(o.kind));
  take(o.steps, steps_);
  take(o.restarts, restarts_);
  take(o.draws, draws_);
  take(o.judge_draws, judge_draws_);
  if (o.certified && judge_draws_) o.check_draws = *judge_draws_;
  take(o.check_draws, check_draws_);
  o.seed = seed_;
}

AttackOptions AttackArguments::options(const Calibration& calibration, bool once) const {
  AttackOptions o = usual_attack(parse_attack_kind(attack_), norm(calibration), size_,
                                 parse_against(against_), calibration.mechanism != Mechanism::none);
  if (once) o.restarts = 1;
  give_to(o);
  if (searches_ && o.kind != AttackKind::cw)
    fail_usage("--searches is for cw, which looks for a constant, not for {}", name(o.kind));
  if (searches_) o.searches = *searches_;
  if (rate_ && o.kind != AttackKind::cw)
    fail_usage("--rate is for cw, which steps by Adam, not for {}", name(o.kind));
  if (rate_) o.rate = *rate_;
  if (o.kind == AttackKind::random && (draws_ || !loss_.empty()))
    fail_usage("--draws and --loss are for gradients, and random has none");
  if (!loss_.empty()) o.loss = parse_draws_loss(loss_);
  if (!o.certified && certificate_.any_given())
    fail_usage("--alpha, --bound and --certificate are for --against certified:T");
  o.targeted = targeted_;
  o.warm_start = warm_start_;
  o.certificate = certificate_.options(ScoreType::argmax);
  return o;
}

AttackOptions AttackArguments::output_options(const Calibration& calibration) const {
  refuse_of_classifiers(parse_against(against_).has_value(), "--against");
  refuse_of_classifiers(certificate_.any_given(), "--alpha, --bound or --certificate");
  refuse_of_classifiers(targeted_, "--targeted");
  refuse_of_classifiers(!loss_.empty(), "--loss");
  refuse_of_classifiers(searches_.has_value(), "--searches");
  refuse_of_classifiers(rate_.has_value(), "--rate");
  refuse_of_classifiers(warm_start_, "--warm-start");
  AttackOptions o = usual_output_attack(parse_attack_kind(attack_), norm(calibration), size_,
                                        calibration.mechanism != Mechanism::none);
  give_to(o);
  return o;
}

}  // namespace pixeldp::cli
