#include "cli/regression_attack.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/image_range.hpp"
#include "engine/error.hpp"
#include "pixeldp/regression/regression.hpp"

namespace pixeldp::cli {
namespace {

using Json = nlohmann::ordered_json;

Json figures_json(const OutputAttackFigures& figures, const OutputAttackSummary& summary,
                  const AttackOptions& o) {
  return {{"attack", name(o.kind)},
          {"norm", name(o.norm)},
          {"size", o.size ? Json(*o.size) : Json()},
          {"images", summary.records.size()},
          {"mean_error", figures.mean_error},
          {"mean_error_under_attack", figures.mean_error_attacked},
          {"mean_move", figures.mean_move},
          {"largest_move", figures.largest_move},
          {"gradient_rows", summary.gradient_rows},
          {"draws", summary.draws},
          {"seconds", summary.seconds}};
}

Json to_json(const OutputSandwich& held, double alpha) {
  return {{"certificates", held.images},
          {"violations", held.violations},
          {"alpha", alpha},
          {"explained_by_chance", held.explained},
          {"holds", held.holds()},
          {"mean_certified_move", held.mean_certified_move},
          {"mean_width", held.mean_width}};
}

void print(const OutputAttackFigures& figures, const OutputAttackSummary& summary,
           const OutputAttackHeader& header) {
  const AttackOptions& o = header.options;
  fmt::print("images            {} ({} of {})\n", summary.records.size(), header.split,
             header.dataset);
  fmt::print(
      "attack            {} in the norm {}, size {}, {} steps, {} starts, {} draws a gradient, "
      "judged by {}\n",
      name(o.kind), name(o.norm), o.size ? fmt::format("{}", *o.size) : "as certified", o.steps,
      o.restarts, o.draws, o.judge_draws);
  fmt::print("error             {:.4g} in the mean, {:.4g} under attack\n", figures.mean_error,
             figures.mean_error_attacked);
  fmt::print("moved             by {:.4g} in the mean, {:.4g} at the most\n", figures.mean_move,
             figures.largest_move);
  fmt::print("work              {} gradient rows and {} draws in {:.1f} s\n", summary.gradient_rows,
             summary.draws, summary.seconds);
}

void print(const OutputSandwich& held, const RegressionLogHeader& header) {
  fmt::print(
      "proved            moves of at most {:.4g} and intervals {:.4g} wide, in the mean ({})\n",
      held.mean_certified_move, held.mean_width, conditions_text(header));
  fmt::print(
      "certificates      {}, of which attacks contradict {}; chance explains up to {} at alpha "
      "{}\n",
      held.images, held.violations.size(), held.explained, header.options.alpha);
}

}  // namespace

void attack_regression(const RegressionAttack& o) {
  OutputAttackHeader header = output_attack_header(o.run.model, o.run.sha256, o.dataset, o.options,
                                                   o.device, o.body, !o.certificates.empty());
  const std::filesystem::path log =
      o.output.empty() ? o.run.folder / "attacks.jsonl" : std::filesystem::path(o.output);
  OutputAttackRun how{.device = o.device, .batch = o.batch, .resume = o.resume};
  std::optional<OutputCertificatesUnderAttack> certificates;
  if (!o.certificates.empty()) {
    certificates = output_certificates_under_attack(o.certificates, header);
    how.certificates = &*certificates;
    how.violations = std::filesystem::path(log).replace_extension("violations");
    header.certificates_sha256 = certificates->sha256;
  }
  how.images = chosen_images(o.images, o.dataset, [&](std::int64_t image) {
    return !certificates || certificates->records.contains(image);
  });
  if (how.images.empty())
    fail_usage("{}: none of the images asked for is certified", o.certificates);

  const OutputAttackSummary summary =
      attack_outputs(o.run.model, o.dataset, header, o.body, how, log);
  const OutputAttackFigures figures = output_attack_figures(header, summary.records);
  std::optional<OutputSandwich> held;
  if (certificates) held = output_sandwich(*certificates, summary.records);
  if (o.json) {
    Json json = figures_json(figures, summary, header.options);
    json["log"] = log.string();
    if (held) json["sandwich"] = to_json(*held, certificates->header.options.alpha);
    fmt::print("{}\n", json.dump());
  } else {
    fmt::print("log               {}\n", log.string());
    print(figures, summary, header);
    if (held) print(*held, certificates->header);
  }
  if (held && !held->holds())
    fail("{} of {} certificates are wrong, where chance explains {}: their pictures are in {}",
         held->violations.size(), held->images, held->explained, how.violations.string());
}

}  // namespace pixeldp::cli
