#include "cli/regression.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "cli/certificate_summary.hpp"
#include "engine/error.hpp"
#include "engine/interrupt.hpp"
#include "engine/named.hpp"
#include "engine/notice.hpp"
#include "pixeldp/conditions.hpp"

namespace pixeldp::cli {
namespace {

using Json = nlohmann::ordered_json;

/// The radii that a summary speaks of: those asked for, and parts of what the noise was made for.
std::vector<double> radii_of(const RegressionLogHeader& header) {
  const Calibration& c = header.calibration;
  const double unit = header.radius    ? *header.radius
                      : c.construction ? c.construction->bound
                                       : c.noise_scale / c.sensitivity / 2.0;
  return {0.25 * unit, 0.5 * unit, unit, 2.0 * unit, 4.0 * unit};
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[(values.size() - 1) / 2];
}

std::vector<double> certified_radii(std::span<const RegressionRecord> records) {
  std::vector<double> radii;
  for (const RegressionRecord& record : records)
    if (record.radius) radii.push_back(*record.radius);
  return radii;
}

}  // namespace

void refuse_of_classifiers(bool given, const char* option) {
  if (given) fail_usage("{} is for classifiers, and this network is one for regression", option);
}

void RegressionArguments::add_to(CLI::App& command, bool from_log) {
  command
      .add_option(
          "--move", move,
          "Of a regression network: the largest radius within which its prediction moves at "
          "most so far")
      ->type_name("T");
  command
      .add_option(
          "--prediction", prediction,
          fmt::format("What a regression network predicts of its noisy outputs (default: {})",
                      from_log ? "the log's" : "mean"))
      ->check(CLI::IsMember(names_of(predictions, name)))
      ->each([this](const std::string&) { prediction_given = true; });
}

OutputOptions RegressionArguments::options(const CertificateArguments& certificate) const {
  return options_over({.bound = OutputOptions::usual_bound(Prediction::mean)}, certificate);
}

OutputOptions RegressionArguments::options_over(OutputOptions options,
                                                const CertificateArguments& certificate) const {
  const Prediction predicted = prediction_given ? parse_prediction(prediction) : options.prediction;
  if (predicted != options.prediction)
    options = {predicted, options.kind, OutputOptions::usual_bound(predicted), options.alpha};
  const CertificateOptions chosen = certificate.options_over(
      {.bound = options.bound, .kind = options.kind, .alpha = options.alpha});
  refuse_of_classifiers(chosen.top != 1, "--top");
  return {predicted, chosen.kind, chosen.bound, chosen.alpha};
}

void RegressionArguments::refuse_given() const {
  if (move) fail_usage("--move is for regression networks, and this one is a classifier");
  if (prediction_given)
    fail_usage("--prediction is for regression networks, and this one is a classifier");
}

void recertify_regression(RegressionLog log, const RegressionRecertification& o) {
  warn_if_cut_short(log, o.log.string());
  if (log.records.empty()) fail("{}: the log holds no certificate yet", o.log.string());
  if (o.radius) check_positive("--radius", *o.radius);
  if (o.regression.move) check_positive("--move", *o.regression.move);
  const RegressionLogHeader& header = log.header;
  const OutputOptions options = o.regression.options_over(header.options, o.certificate);
  const auto radius = o.radius ? o.radius : header.radius;
  const auto move = o.regression.move ? o.regression.move : header.move;
  log = recertified(std::move(log), options, radius, move);
  if (interrupted()) fail_interrupted("interrupted; nothing was written, start again");
  write_regression_log(o.output, log);
  if (!log.header.reserved())
    notice(
        "this is an exploration: its rule was chosen when the draws were known, and alpha is not "
        "the "
        "probability that it fails; another --radius or --move alone costs nothing");
  if (o.json) {
    Json report = regression_json(log.header, log.records);
    report["log"] = o.output.string();
    fmt::print("{}\n", report.dump());
    return;
  }
  fmt::print("log               {}\n", o.output.string());
  print_regression(log.header, log.records);
}

std::string rounded_signed(double value, bool down) {
  if (!std::isfinite(value)) return value < 0 ? "-inf" : "inf";
  constexpr int digits = 5;
  return value < 0 ? "-" + rounded(-value, !down, digits) : rounded(value, down, digits);
}

void print_regression(const RegressionLogHeader& header,
                      std::span<const RegressionRecord> records) {
  const RegressionMetrics metrics = regression_metrics(records);
  fmt::print("images            {} ({} of {})\n", records.size(), header.split, header.dataset);
  fmt::print("conditions        {}\n", conditions_text(header));
  print_charges(header.calibration, "that does not make noise in floats sound");
  fmt::print("error             {:.4g} in the mean, {:.4g} root of the mean square\n",
             metrics.mean_error, metrics.root_mean_square);
  if (header.move) {
    const std::vector<double> radii = certified_radii(records);
    fmt::print("moves at most {}   within a radius of {} in the median, {} at the least\n",
               *header.move, rounded(median(radii), true),
               rounded(*std::ranges::min_element(radii), true));
  }
  fmt::print("\n   radius   interval's width   largest error   move   holds the label\n");
  for (const double radius : radii_of(header)) {
    const ReachSummary reach = reach_summary(header, records, radius);
    fmt::print("{:9.4g} {:18.4g} {:15.4g} {:6.4g} {:15.2f} %\n", radius, reach.mean_width,
               reach.mean_error, reach.mean_move, 100.0 * reach.within_label);
  }
  fmt::print("(means over the images, of what no change of norm {} within the radius can exceed)\n",
             name(header.calibration.attack_norm));
}

Json regression_json(const RegressionLogHeader& header, std::span<const RegressionRecord> records) {
  const RegressionMetrics metrics = regression_metrics(records);
  Json curve = Json::array();
  for (const double radius : radii_of(header)) {
    const ReachSummary reach = reach_summary(header, records, radius);
    curve.push_back({{"radius", radius},
                     {"mean_width", reach.mean_width},
                     {"mean_largest_error", reach.mean_error},
                     {"mean_move", reach.mean_move},
                     {"holds_label", reach.within_label}});
  }
  Json json = {{"mechanism", name(header.calibration.mechanism)},
               {"output", name(header.output.kind)},
               {"low", header.output.low},
               {"high", header.output.high},
               {"prediction", name(header.options.prediction)},
               {"certificate", name(header.options.kind)},
               {"bound", name(header.options.bound)},
               {"alpha", header.options.alpha},
               {"reserved", header.reserved()},
               {"draws", header.draws},
               {"attack_norm", name(header.calibration.attack_norm)},
               {"variation", header.calibration.variation},
               {"prefix_error", header.calibration.prefix_error},
               {"images", records.size()},
               {"mean_error", metrics.mean_error},
               {"root_mean_square_error", metrics.root_mean_square},
               {"certified", curve}};
  if (header.move) {
    json["move"] = *header.move;
    json["median_radius"] = median(certified_radii(records));
  }
  return json;
}

}  // namespace pixeldp::cli
