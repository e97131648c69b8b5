#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/certificate_arguments.hpp"
#include "cli/commands.hpp"
#include "cli/run_folder.hpp"
#include "engine/error.hpp"
#include "engine/named.hpp"
#include "pixeldp/conditions.hpp"
#include "pixeldp/float_noise.hpp"
#include "pixeldp/lattice_prefix.hpp"
#include "pixeldp/planning.hpp"

namespace pixeldp::cli {
namespace {

using Json = nlohmann::ordered_json;

struct PlanArguments {
  std::string run, counts, mechanism;
  std::optional<double> sigma, sensitivity;
  double radius = 0.5;
  std::uint64_t draws = 300;
  std::optional<int> classes, selected;
  bool separate = false;
  CertificateArguments certificate;
  bool json = false;
};

/// Draws for a radius where a label has such a share of the votes, and one other the rest.
struct Need {
  int permille = 1000;
  std::optional<std::uint64_t> draws;
};

/// All that was asked, and the answers.
struct Plan {
  Calibration calibration;
  CertificateOptions options;
  Selection selection = Selection::same_draws;
  int classes = 10;
  std::uint64_t draws = 300;
  double radius = 0.5;
  Certificate best;  ///< of so many draws
  std::vector<Need> needs;
  std::optional<Certificate> given;  ///< of the votes given
  std::string reason;                ///< why these certify nothing
  std::vector<NoisePlan> noise;      ///< of the network
  bool has_run = false;
  std::string no_sound;  ///< why the network takes no noise on a lattice; empty: it does
};

/// Why certify --sound would refuse a model; empty where it would not.
std::string why_not_sound(const Model& model) {
  try {
    on_lattice(model);
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

Plan make_plan(const PlanArguments& a) {
  Plan plan;
  plan.options = a.certificate.options(ScoreType::argmax);
  plan.draws = a.draws;
  plan.radius = a.radius;
  check_positive("--radius", a.radius);
  plan.selection = selection_of(a.separate || a.selected.has_value());
  check_bound(plan.options.bound, plan.options.scores, plan.selection);
  Calibration& calibration = plan.calibration;
  std::optional<RunModel> run;
  if (!a.run.empty()) {
    run = load_run(a.run);
    refuse_regression(run->model, "plans");
    plan.classes = run->model.network.classes();
    calibration = run->model.calibration;
    if (calibration.mechanism != Mechanism::none && calibration.sensitivity > 0.0) {
      calibration = charged(calibration, run->model);
      plan.has_run = true;
      plan.no_sound = why_not_sound(run->model);
    }
  }
  if (calibration.mechanism == Mechanism::none) {
    calibration = {
        .mechanism = a.mechanism.empty() ? Mechanism::gaussian : parse_mechanism(a.mechanism),
        .noise_scale = 1.0,
        .sensitivity = 1.0};
  } else if (!a.mechanism.empty()) {
    fail_usage("--mechanism {}: the run has noise of its own, {}; leave --mechanism out",
               a.mechanism, name(calibration.mechanism));
  }
  if (a.sigma) calibration.noise_scale = *a.sigma;
  if (a.sensitivity) calibration.sensitivity = *a.sensitivity;
  if (a.classes) plan.classes = *a.classes;
  check_positive("--sigma", calibration.noise_scale);
  check_positive("--sensitivity", calibration.sensitivity);
  check_positive("--sigma divided by --sensitivity",
                 calibration.noise_scale / calibration.sensitivity);
  if (a.selected && a.counts.empty()) fail_usage("--selected is a label of --counts: give both");
  ScoreStatistics statistics;
  if (!a.counts.empty()) {
    statistics = statistics_of_votes(parse_counts(a.counts));
    plan.classes = statistics.classes();
    plan.draws = statistics.draws;
  }

  plan.best = best_certificate(plan.draws, plan.classes, calibration, plan.options, plan.selection);
  for (const int permille : {1000, 999, 990, 950, 900, 800, 700, 600}) {
    std::vector<std::uint64_t> votes(static_cast<std::size_t>(plan.classes), 0);
    votes[0] = static_cast<std::uint64_t>(permille);
    votes[1] = static_cast<std::uint64_t>(1000 - permille);
    plan.needs.push_back(
        {permille, draws_for(votes, a.radius, calibration, plan.options, plan.selection)});
  }
  if (!a.counts.empty()) {
    plan.given = certify(statistics, calibration, plan.options, a.selected);
    plan.reason = why_not_certified(statistics, calibration, plan.options, a.selected);
  }
  if (run && plan.best.radius > 0.0) {
    plan.noise = plan_noise(noise_places(run->model.network, run->model.form), a.radius,
                            plan.options.kind, plan.best.lower, plan.best.upper);
  }
  return plan;
}

Json number_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(); }

void print_json(const Plan& plan) {
  const auto draws = [](const std::optional<std::uint64_t>& n) { return n ? Json(*n) : Json(); };
  Json report = {{"radius", plan.radius},
                 {"draws", plan.draws},
                 {"classes", plan.classes},
                 {"largest_radius", plan.best.radius},
                 {"least_draws",
                  draws(least_draws(plan.classes, plan.calibration, plan.options, plan.selection))},
                 {"mechanism", name(plan.calibration.mechanism)},
                 {"noise_scale", plan.calibration.noise_scale},
                 {"sensitivity", plan.calibration.sensitivity},
                 {"variation", plan.calibration.variation},
                 {"prefix_error", plan.calibration.prefix_error},
                 {"alpha", plan.options.alpha},
                 {"bound", name(plan.options.bound)},
                 {"certificate", name(plan.options.kind)},
                 {"selection", plan.selection == Selection::separate_draws ? "separate" : "same"}};
  for (const Need& need : plan.needs)
    report["draws_for_radius"].push_back(
        {{"share", need.permille / 1000.0}, {"draws", draws(need.draws)}});
  if (plan.given) {
    report["given"] = {{"prediction", plan.given->prediction},
                       {"radius", plan.given->radius},
                       {"reason", plan.reason.empty() ? Json() : Json(plan.reason)}};
  }
  for (const NoisePlan& noise : plan.noise) {
    report["noise"].push_back(
        {{"after", noise.place},
         {"mechanism", name(noise.mechanism)},
         {"attack_norm", name(noise.attack_norm)},
         {"sensitivity", number_or_null(noise.sensitivity)},
         {"noise_scale", number_or_null(noise.scale)},
         {"in_pixels", number_or_null(noise.in_pixels)},
         {"recommended", &noise == least_noise(plan.noise, noise.attack_norm)}});
  }
  if (plan.has_run)
    report["sound"] = {{"recommended", plan.no_sound.empty()},
                       {"reason", plan.no_sound.empty() ? Json() : Json(plan.no_sound)}};
  fmt::print("{}\n", report.dump());
}

/// That noise on a lattice is better, what it costs, and whether this network takes it.
void print_advice(const Plan& plan) {
  if (!plan.has_run) return;
  fmt::print(
      "\nthese radii are charged {:.3g} of total variation and {:.3g} of rounding, which does not "
      "make noise in floats sound\n",
      plan.calibration.variation, plan.calibration.prefix_error);
  if (plan.no_sound.empty())
    fmt::print("recommended: {}; {}\n", sound_advice, sound_cost);
  else
    fmt::print("{}, but not here: {}\n", sound_advice, plan.no_sound);
}

void print(const Plan& plan) {
  fmt::print(
      "conditions  {} noise of scale {}, sensitivity {}; certificate {}, bound {}, alpha {}, {} "
      "classes, label chosen on {} draws\n",
      name(plan.calibration.mechanism), plan.calibration.noise_scale, plan.calibration.sensitivity,
      name(plan.options.kind), name(plan.options.bound), plan.options.alpha, plan.classes,
      plan.selection == Selection::separate_draws ? "separate" : "the same");
  if (plan.best.radius > 0.0)
    fmt::print("{} draws  prove a radius of {} at most, where all agree\n", plan.draws,
               rounded(plan.best.radius, true));
  else
    fmt::print("{}\n", too_few_draws(plan.draws, plan.classes, plan.calibration, plan.options,
                                     plan.selection));
  fmt::print(
      "\ndraws that certify radius {}, by the label's share of them (one other has the rest)\n",
      plan.radius);
  for (const Need& need : plan.needs) {
    fmt::print("{:7.1f} %  {}\n", need.permille / 10.0,
               need.draws ? fmt::format("{}", *need.draws) : "no number does");
  }
  if (plan.given) {
    fmt::print("\nthese votes  {}\n",
               plan.reason.empty()
                   ? fmt::format("certify label {} within {}", plan.given->prediction,
                                 rounded(plan.given->radius, true))
                   : plan.reason);
  }
  print_advice(plan);
  if (plan.noise.empty()) return;
  fmt::print(
      "\nnoise with which {} agreeing draws certify radius {} (* the least of its norm, in "
      "pixels)\n"
      "after          mechanism   norm   sensitivity   noise scale   in pixels\n",
      plan.draws, plan.radius);
  for (const NoisePlan& noise : plan.noise) {
    if (!std::isfinite(noise.sensitivity)) {
      fmt::print("{:<14} {:<11} {:<6} not known\n", noise.place, name(noise.mechanism),
                 name(noise.attack_norm));
      continue;
    }
    fmt::print("{:<14} {:<11} {:<6} {:>11.5g}   {:>11.5g}   {:>9.4g}{}\n", noise.place,
               name(noise.mechanism), name(noise.attack_norm), noise.sensitivity, noise.scale,
               noise.in_pixels, &noise == least_noise(plan.noise, noise.attack_norm) ? " *" : "");
  }
}

}  // namespace

void add_plan(CLI::App& program) {
  CLI::App* command = program.add_subcommand(
      "plan", "What it takes to certify a radius, and why votes do not: no draws");
  auto arguments = std::make_shared<PlanArguments>();
  PlanArguments& a = *arguments;
  command
      ->add_option("run", a.run, "Folder of a training run: its noise, and where else it could be")
      ->type_name("RUN");
  command->add_option("--radius", a.radius, "Radius to certify")->capture_default_str();
  CLI::Option* draws =
      command->add_option("--draws", a.draws, "Budget of draws per image")->capture_default_str();
  CLI::Option* classes =
      command->add_option("--classes", a.classes, "Number of classes (default: the run's, or 10)")
          ->check(CLI::Range(2, 1000000));
  command->add_option("--counts", a.counts, "Votes of every class, to explain what they certify")
      ->type_name("C0,C1,...")
      ->excludes(draws)
      ->excludes(classes);
  command->add_option("--selected", a.selected, "With --counts: label chosen on other draws")
      ->type_name("LABEL");
  command->add_flag("--separate", a.separate, "Other draws choose the label");
  command
      ->add_option("--mechanism", a.mechanism,
                   "Distribution of the noise, without a run's (default: gaussian)")
      ->check(CLI::IsMember(names_of(noise_mechanisms, name)));
  command->add_option("--sigma", a.sigma, "Noise scale (default: the run's, or 1)");
  command->add_option("--sensitivity", a.sensitivity,
                      "Sensitivity of what lies before the noise (default: the run's, or 1)");
  a.certificate.add_to(*command);
  command->add_flag("--json", a.json, "Print one JSON object");
  command->callback([arguments] {
    const Plan plan = make_plan(*arguments);
    arguments->json ? print_json(plan) : print(plan);
  });
}

}  // namespace pixeldp::cli
