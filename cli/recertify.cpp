#include <algorithm>
#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include "cli/certificate_arguments.hpp"
#include "cli/certificate_summary.hpp"
#include "cli/commands.hpp"
#include "cli/regression.hpp"
#include "engine/error.hpp"
#include "engine/interrupt.hpp"
#include "engine/io/file.hpp"
#include "engine/named.hpp"
#include "engine/notice.hpp"
#include "pixeldp/foreign_log.hpp"
#include "pixeldp/recertification.hpp"

namespace pixeldp::cli {
namespace {

struct RecertifyOptions {
  std::filesystem::path log, output;
  CertificateArguments certificate;
  std::string scores, mechanism;
  std::optional<double> sigma;
  std::optional<std::uint64_t> draws, selection_draws;
  RegressionArguments regression;
  std::optional<double> radius;
  bool json = false;
};

void refuse_of_foreign(bool given, const char* option) {
  if (given) fail_usage("{} is for logs of other programs, and this one says it itself", option);
}

void refuse_foreign_noise(const RecertifyOptions& o) {
  refuse_of_foreign(!o.mechanism.empty(), "--mechanism");
  refuse_of_foreign(o.sigma.has_value(), "--sigma");
}

void refuse_foreign_draws(const RecertifyOptions& o) {
  refuse_of_foreign(o.draws.has_value(), "--draws");
  refuse_of_foreign(o.selection_draws.has_value(), "--selection-draws");
}

ForeignConditions foreign_conditions(const RecertifyOptions& o) {
  ForeignConditions conditions;
  if (!o.mechanism.empty()) conditions.mechanism = parse_mechanism(o.mechanism);
  if (o.sigma) conditions.noise_scale = *o.sigma;
  if (o.draws) conditions.draws = *o.draws;
  if (o.selection_draws) conditions.selection_draws = *o.selection_draws;
  conditions.alpha = o.certificate.options(ScoreType::argmax).alpha;
  return conditions;
}

/// The log of this text, whoever made it.
CertificateLog read_log(const RecertifyOptions& o, std::string_view text) {
  const std::string source = o.log.string();
  switch (source_of(text)) {
    case CountSource::draws:
    case CountSource::format_1: {
      refuse_foreign_noise(o);
      refuse_foreign_draws(o);
      CertificateLog log = parse_certificate_log(text, source);
      derive_radii(log, source);
      return log;
    }
    case CountSource::eval_data:
      refuse_foreign_draws(o);
      return parse_eval_data(text, source, foreign_conditions(o));
    case CountSource::smoothing_log:
      if (!o.certificate.alpha_given())
        fail_usage("--alpha: a log of smoothing does not say the one that it was made with");
      return parse_smoothing_log(text, source, foreign_conditions(o));
  }
  fail("{}: not a log of any known source", source);
}

/// What was asked for; the rest is the log's, or that of the look that was reserved for it.
CertificateOptions options_of(const RecertifyOptions& o, const CertificateLogHeader& header) {
  CertificateOptions standard = header.options;
  if (!o.scores.empty() && parse_score_type(o.scores) != standard.scores) {
    standard.scores = parse_score_type(o.scores);
    standard.bound = usual_bound(standard.scores);
  }
  CertificateOptions options = o.certificate.options_over(standard);
  const bool other =
      options.scores != header.options.scores || options.bound != header.options.bound;
  const Look* look = reserved_look(header.ledger, options.scores, options.bound, header.draws);
  if (look && other && !o.certificate.alpha_given()) options.alpha = look->alpha;
  return options;
}

/// Says what the radii are worth where they are not worth their alpha.
void say_standing(const CertificateLogHeader& header) {
  switch (header.standing()) {
    case Standing::reserved:
      return;
    case Standing::exploration:
      notice(
          "this is an exploration: its rule was chosen when the counts were known, so its alpha is "
          "not the probability that a radius fails; 'pixeldp certify --looks' reserves alpha "
          "beforehand");
      return;
    case Standing::unrecorded:
      notice(
          "this is an exploration: the log does not record whether its rule was chosen before the "
          "counts were known");
      return;
  }
  fail("not a standing: {}", static_cast<int>(header.standing()));
}

void run(const RecertifyOptions& o) {
  install_interrupt_handler();
  const Bytes bytes = read_file(o.log);
  const std::string_view text = as_text(bytes);
  if (is_regression_log_text(text)) {
    refuse_of_classifiers(!o.scores.empty(), "--scores");
    refuse_foreign_noise(o);
    refuse_foreign_draws(o);
    return recertify_regression(parse_regression_log(text, o.log.string()),
                                {o.log, o.output, o.regression, o.certificate, o.radius, o.json});
  }
  o.regression.refuse_given();
  if (o.radius) fail_usage("--radius is for regression networks, and this log is of a classifier");
  const CertificateLog given = read_log(o, text);
  warn_if_cut_short(given, o.log.string());
  if (given.header.calibration.mechanism == Mechanism::none) {
    fail("{}: the log of a model without noise; there is nothing to certify", o.log.string());
  }
  if (given.records.empty()) fail("{}: the log holds no certificate yet", o.log.string());
  CertificateLog log = recertified(given, options_of(o, given.header));
  std::ranges::sort(log.records, {}, &CertificateRecord::image);
  if (interrupted()) fail_interrupted("interrupted; nothing was written, start again");
  write_certificate_log(o.output, log);
  say_standing(log.header);
  log.records = records_of_labels(log.header, std::move(log.records));
  if (o.json) {
    nlohmann::ordered_json report =
        summary_json(log.header, log.records, thresholds_for(log.header));
    report["log"] = o.output.string();
    fmt::print("{}\n", report.dump());
    return;
  }
  fmt::print("log               {}\n", o.output.string());
  print_summary(log.header, log.records);
}

}  // namespace

void add_recertify(CLI::App& program) {
  CLI::App* command = program.add_subcommand(
      "recertify",
      "Certificates of another kind from the counts of a log, also of other programs: no model, "
      "no draws");
  auto o = std::make_shared<RecertifyOptions>();
  command->add_option("log", o->log, "Certificate log to take the counts from")
      ->required()
      ->type_name("LOG");
  command->add_option("--output", o->output, "Certificate log to write")->required();
  command
      ->add_option("--scores", o->scores,
                   "What the certificates rest on (default: the log's): argmax, the votes, or "
                   "softmax, the mean scores")
      ->check(CLI::IsMember(names_of(score_types, name)));
  o->certificate.add_to(*command, true);
  o->certificate.add_top_to(*command, true);
  o->regression.add_to(*command, true);
  command
      ->add_option("--radius", o->radius,
                   "Of a regression network: the radius of its intervals (default: the log's)")
      ->type_name("R");
  const char* others = "Logs of other programs";
  const ForeignConditions usual;
  command
      ->add_option("--mechanism", o->mechanism,
                   fmt::format("Noise that a log of another program is of (default: {})",
                               name(usual.mechanism)))
      ->check(CLI::IsMember(names_of(noise_mechanisms, name)))
      ->group(others);
  command
      ->add_option("--sigma", o->sigma,
                   "Its scale, pixels from 0 to 1: standard deviation, or scale b of laplace noise")
      ->type_name("S")
      ->group(others);
  command->add_option("--draws", o->draws, "Draws per image of a log of smoothing")->group(others);
  command
      ->add_option(
          "--selection-draws", o->selection_draws,
          fmt::format("Draws per image that chose its label (default: {})", usual.selection_draws))
      ->group(others);
  command->add_flag("--json", o->json, "Print one JSON object on standard output");
  command->callback([o] { run(*o); });
}

}  // namespace pixeldp::cli
