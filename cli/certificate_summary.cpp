#include "cli/certificate_summary.hpp"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "cli/certificate_arguments.hpp"
#include "pixeldp/conditions.hpp"
#include "pixeldp/float_noise.hpp"
#include "pixeldp/log_json.hpp"
#include "pixeldp/metrics.hpp"
#include "pixeldp/recertification.hpp"

namespace pixeldp::cli {

using Json = nlohmann::ordered_json;

std::vector<double> thresholds_for(const CertificateLogHeader& header) {
  const std::vector<double>& all = default_thresholds();
  if (header.stopping.rule != StoppingRule::radius) return all;
  // Whoever stops at a radius has hardly proved another one.
  std::vector<double> thresholds;
  std::ranges::copy_if(all, std::back_inserter(thresholds),
                       [&](double t) { return t < header.stopping.target; });
  thresholds.push_back(header.stopping.target);
  return thresholds;
}

void print_summary(const CertificateLogHeader& header, std::span<const CertificateRecord> records) {
  const auto [low, high] = interval_over_images(accuracy(records), records.size());
  const std::string top = header.options.top == 1 ? "" : fmt::format("top-{} ", header.options.top);
  fmt::print("images            {} ({} of {})\n", records.size(), header.split, header.dataset);
  fmt::print("conditions        {}\n", conditions_text(header));
  fmt::print("{:<18}{:.2f} % (95 % Clopper-Pearson interval over the images: {:.2f} to {:.2f} %)\n",
             top + "accuracy", 100.0 * accuracy(records), 100.0 * low, 100.0 * high);
  if (header.calibration.mechanism == Mechanism::none) {
    fmt::print("The model has no noise: nothing is certified, every radius is 0.\n");
    return;
  }
  if (header.calibration.lattice_step == 0.0) print_charges(header.calibration, sound_advice);
  fmt::print("not certified     {:.2f} %\n", 100.0 * abstention(records));
  const std::string largest =
      rounded(largest_possible_radius(header, records.front().statistics.classes()), true);
  const bool stopped = header.stopping.rule != StoppingRule::fixed;
  if (stopped) {
    fmt::print(
        "draws per image   {:.1f} in the mean, {} in the median, those for the label among them\n",
        mean_draws(records), median_draws(records));
    fmt::print("largest radius    {}, the most that {} draws could prove at this alpha\n", largest,
               header.draws);
  } else {
    fmt::print("largest radius    {}, the most that so many draws can prove at this alpha\n",
               largest);
  }
  fmt::print("\nthreshold   certified {}accuracy   precision   certified fraction\n", top);
  for (const double threshold : thresholds_for(header)) {
    const auto precision = certified_precision(records, threshold);
    fmt::print("{:9.3f} {:{}.2f} % {:>11} {:18.2f} %\n", threshold,
               100.0 * certified_accuracy(records, threshold), 18 + top.size(),
               precision ? fmt::format("{:.2f} %", 100.0 * *precision) : "-",
               100.0 * certified_fraction(records, threshold));
  }
}

void print_charges(const Calibration& c, std::string_view advice) {
  if (is_charged(c))
    fmt::print(
        "charged           {:.3g} of total variation, where the noise ends, and {:.3g} of rounding "
        "before it; {}\n",
        c.variation, c.prefix_error, advice);
}

Json conditions_json(const CertificateLogHeader& header) {
  Json conditions = {{"mechanism", name(header.calibration.mechanism)},
                     {"scores", name(header.options.scores)},
                     {"draws", header.draws},
                     {"stopping", name(header.stopping.rule)},
                     {"selection_draws", header.selection_draws}};
  conditions.update(function_keys(header.function));
  if (header.stopping.rule != StoppingRule::fixed) {
    conditions.update({{"target", header.stopping.target}, {"futility", header.stopping.futility}});
  }
  if (header.calibration.mechanism != Mechanism::none) {
    conditions.update({{"alpha", header.options.alpha},
                       {"bound", name(header.options.bound)},
                       {"certificate", name(header.options.kind)},
                       {"top", header.options.top},
                       {"attack_norm", name(header.calibration.attack_norm)},
                       {"noise_scale", header.calibration.noise_scale},
                       {"sensitivity", header.calibration.sensitivity},
                       {"lattice_step", header.calibration.lattice_step},
                       {"variation", header.calibration.variation},
                       {"prefix_error", header.calibration.prefix_error}});
  }
  return conditions;
}

Json summary_json(const CertificateLogHeader& header, std::span<const CertificateRecord> records,
                  const std::vector<double>& thresholds) {
  Json curve = Json::array();
  for (const double threshold : thresholds) {
    const auto precision = certified_precision(records, threshold);
    curve.push_back({{"threshold", threshold},
                     {"certified_accuracy", certified_accuracy(records, threshold)},
                     {"certified_fraction", certified_fraction(records, threshold)},
                     {"precision", precision ? Json(*precision) : Json()}});
    // The same by the name that it has in the field.
    if (header.options.top > 1)
      curve.back()["certified_top_k_accuracy"] = certified_accuracy(records, threshold);
  }
  const auto [low, high] = interval_over_images(accuracy(records), records.size());
  Json summary = conditions_json(header);
  summary.update({{"images", records.size()},
                  {"accuracy", accuracy(records)},
                  {"accuracy_interval", {low, high}},
                  {"interval", "Clopper-Pearson, 95 %, over the images"},
                  {"abstention", abstention(records)},
                  {"mean_radius", mean_radius(records)},
                  {"median_radius", median_radius(records)},
                  {"mean_draws", mean_draws(records)},
                  {"median_draws", median_draws(records)},
                  {"largest_possible_radius",
                   largest_possible_radius(header, records.front().statistics.classes())},
                  {"certified", curve}});
  if (header.options.top > 1) summary["top_k_accuracy"] = accuracy(records);
  return summary;
}

void warn_of_cut_line(std::size_t line, const std::string& source) {
  fmt::print(stderr,
             "pixeldp: {}:{}: the last line is cut short and was left out; 'pixeldp certify "
             "--resume' makes its image anew\n",
             source, line);
}

}  // namespace pixeldp::cli
