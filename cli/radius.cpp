#include <cmath>
#include <memory>
#include <optional>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/certificate_arguments.hpp"
#include "cli/commands.hpp"
#include "engine/error.hpp"
#include "engine/named.hpp"

namespace pixeldp::cli {

namespace {

struct RadiusArguments {
  std::string counts;
  std::string mechanism = "gaussian";
  double sigma = 1.0;
  double sensitivity = 1.0;
  double variation = 0.0, prefix_error = 0.0;
  CertificateArguments certificate;
  std::optional<int> selected;
  bool json = false;
};

void run(const RadiusArguments& arguments) {
  check_positive("--sigma", arguments.sigma);
  check_positive("--sensitivity", arguments.sensitivity);
  check_positive("--sigma divided by --sensitivity", arguments.sigma / arguments.sensitivity);
  if (!(arguments.variation >= 0.0 && arguments.variation < 1.0))
    fail_usage("--variation {}: it must be at least 0 and below 1", arguments.variation);
  if (!(std::isfinite(arguments.prefix_error) && arguments.prefix_error >= 0.0))
    fail_usage("--prefix-error {}: it must be a finite number from 0 up", arguments.prefix_error);

  const ScoreStatistics statistics = statistics_of_votes(parse_counts(arguments.counts));
  if (statistics.draws == 0) fail_usage("--counts: all of {} are 0", arguments.counts);

  Calibration calibration;
  calibration.mechanism = parse_mechanism(arguments.mechanism);
  calibration.noise_scale = arguments.sigma;
  calibration.sensitivity = arguments.sensitivity;
  calibration.variation = arguments.variation;
  calibration.prefix_error = arguments.prefix_error;
  const CertificateOptions options = arguments.certificate.options(ScoreType::argmax);

  const Certificate certificate = certify(statistics, calibration, options, arguments.selected);

  const Selection selection = selection_of(arguments.selected.has_value());
  const Certificate best =
      best_certificate(statistics.draws, statistics.classes(), calibration, options, selection);

  if (arguments.json) {
    const nlohmann::json report = {{"prediction", certificate.prediction},
                                   {"lower", certificate.lower},
                                   {"upper", certificate.upper},
                                   {"radius", certificate.radius},
                                   {"largest_radius", best.radius},
                                   {"draws", statistics.draws},
                                   {"counts", statistics.votes},
                                   {"selection", arguments.selected ? "separate" : "same"},
                                   {"alpha", options.alpha},
                                   {"mechanism", name(calibration.mechanism)},
                                   {"noise_scale", calibration.noise_scale},
                                   {"sensitivity", calibration.sensitivity},
                                   {"variation", calibration.variation},
                                   {"prefix_error", calibration.prefix_error},
                                   {"bound", name(options.bound)},
                                   {"certificate", name(options.kind)},
                                   {"top", options.top}};
    fmt::print("{}\n", report.dump());
    return;
  }
  fmt::print("prediction  {} ({} of {} draws{})\n", certificate.prediction,
             statistics.votes[static_cast<std::size_t>(certificate.prediction)], statistics.draws,
             arguments.selected ? ", label chosen on separate draws" : "");
  fmt::print("lower       {}  of the prediction's expected score\n",
             rounded(certificate.lower, true));
  fmt::print("upper       {}  of every other label's{}\n", rounded(certificate.upper, false),
             options.top == 1 ? "" : fmt::format(" but the {} largest", options.top - 1));
  fmt::print("            ({}, failure probability {})\n", name(options.bound), options.alpha);
  if (certificate.radius > 0.0) {
    fmt::print("radius      {}  ({}{}, {} noise of scale {}, sensitivity {})\n",
               rounded(certificate.radius, true), name(options.kind), top_text(options),
               name(calibration.mechanism), calibration.noise_scale, calibration.sensitivity);
  } else {
    fmt::print("radius      0  (not certified)\n");
  }
  if (best.radius == 0.0)
    fmt::print("{}\n", too_few_draws(statistics.draws, statistics.classes(), calibration, options,
                                     selection));
}

}  // namespace

void add_radius(CLI::App& program) {
  CLI::App* command =
      program.add_subcommand("radius", "The certificate of given vote counts: no model, no draws");
  auto arguments = std::make_shared<RadiusArguments>();
  RadiusArguments& a = *arguments;
  command->add_option("--counts", a.counts, "Votes of every class, separated by commas")
      ->required()
      ->type_name("C0,C1,...");
  command->add_option("--mechanism", a.mechanism, "Distribution of the noise")
      ->check(CLI::IsMember(names_of(noise_mechanisms, name)))
      ->capture_default_str();
  command->add_option("--sigma", a.sigma, "Noise scale: sigma (gaussian) or b (laplace)")
      ->capture_default_str();
  command->add_option("--sensitivity", a.sensitivity, "Sensitivity of what lies before the noise")
      ->capture_default_str();
  command
      ->add_option(
          "--variation", a.variation,
          "Total variation, per draw, of the noise from the theorem's, which the radius is "
          "charged: a log's header says it")
      ->capture_default_str();
  command
      ->add_option("--prefix-error", a.prefix_error,
                   "Rounding before the noise, in the norm of the noise, likewise")
      ->capture_default_str();
  a.certificate.add_to(*command);
  a.certificate.add_top_to(*command);
  command
      ->add_option("--selected", a.selected,
                   "Label chosen on other draws; without it the top label of these is taken, "
                   "and the bounds pay for the choice")
      ->type_name("LABEL");
  command->add_flag("--json", a.json, "Print one JSON object");
  command->callback([arguments] { run(*arguments); });
}

}  // namespace pixeldp::cli
