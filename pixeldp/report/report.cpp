#include "pixeldp/report/report.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "engine/error.hpp"
#include "pixeldp/metrics.hpp"
#include "pixeldp/report/figures.hpp"
#include "pixeldp/report/tables.hpp"

namespace pixeldp::report {
namespace {

/// A piece of each run's line, or its mark where `marks` are drawn for runs without noise.
std::string legend(const std::vector<Run>& runs, bool marks) {
  if (runs.size() == 1) return {};
  std::string html = "<ul class=\"legend\">";
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const bool mark = marks && !has_noise(runs[i]);
    html += fmt::format(
        "<li><svg viewBox=\"0 0 26 12\" aria-hidden=\"true\"><path class=\"{} {}\" d=\"{}\"/></svg>"
        "{}{}</li>",
        mark ? "dot" : "line", series(i), mark ? "M13 0l6 6l-6 6l-6 -6z" : "M0 6H26",
        escape(runs[i].name), mark ? " (no noise)" : "");
  }
  return html + "</ul>\n";
}

std::string lead(const std::vector<Run>& runs) {
  std::string html = "<ul class=\"lead\">\n";
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const auto& records = runs[i].log.records;
    const Calibration& calibration = runs[i].log.header.calibration;
    html += fmt::format("<li class=\"{}\"><b>{}</b> is right on <b>{}</b> of the images", series(i),
                        escape(runs[i].name), percent(accuracy(records)));
    if (has_noise(runs[i])) {
      const double attack = typical_attack(runs[i]);
      const double median = median_radius(records);
      html += fmt::format(
          "; on <b>{}</b> it is right and provably stays so under every change of {} up to {:.6g}, "
          "{}.{}</li>\n",
          percent(certified_accuracy(records, attack)), norm_text(calibration.attack_norm), attack,
          calibration.construction ? "the attack size it was built for" : "half of its noise scale",
          median > 0
              ? fmt::format(" Half of the images are right and certified up to {:.3g} or more.",
                            median)
              : "");
    } else {
      html += ". It adds no noise, so nothing is certified: it is the baseline.</li>\n";
    }
  }
  return html + "</ul>\n";
}

/// What keeps the runs from being compared number by number.
std::string notes(const std::vector<Run>& runs) {
  std::string text;
  if (!same_data(runs)) {
    text +=
        "The runs were certified on different data: their figures stand side by side, but must "
        "not be compared. ";
  } else if (!same_images(runs)) {
    text +=
        "The runs were certified on different images of the data set: differences between them "
        "are partly differences between the images. ";
  }
  std::optional<AttackNorm> norm;
  bool mixed = false;
  for (const Run& run : runs) {
    if (!has_noise(run)) continue;
    const AttackNorm own = run.log.header.calibration.attack_norm;
    mixed = mixed || (norm && *norm != own);
    norm = own;
  }
  if (mixed) {
    text += "The runs bound attacks in different norms: one size is not the same attack in both. ";
  }
  return text.empty() ? text : fmt::format("<p class=\"note\">{}</p>\n", text);
}

std::string radii_section(const std::vector<Run>& runs) {
  const Bins bins = common_bins(runs);
  double highest = 0.0;
  for (const Run& run : runs) {
    if (!has_noise(run)) continue;
    const Histogram shares = histogram(run, bins.width, bins.count);
    highest = std::max(highest, shares.none.correct + shares.none.wrong);
    for (const auto& bar : shares.bins) highest = std::max(highest, bar.correct + bar.wrong);
  }
  if (highest == 0) return {};
  std::string html = "<h2>Certified radii</h2>\n<figure>\n";
  std::string numbers;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (!has_noise(runs[i])) continue;
    html += fmt::format("<h3>{}</h3>\n", escape(runs[i].name));
    html += histogram_figure(runs[i], i, bins, highest);
    const Histogram shares = histogram(runs[i], bins.width, bins.count);
    std::string rows = fmt::format(
        "<thead><tr><th scope=\"col\">Radius</th><th scope=\"col\">right</th>"
        "<th scope=\"col\">wrong</th></tr></thead>\n<tbody>"
        "<tr><th scope=\"row\">none</th><td>{}</td><td>{}</td></tr>\n",
        percent(shares.none.correct), percent(shares.none.wrong));
    for (std::size_t j = 0; j < shares.bins.size(); ++j) {
      rows +=
          fmt::format("<tr><th scope=\"row\">{:.6g} to {:.6g}</th><td>{}</td><td>{}</td></tr>\n",
                      static_cast<double>(j) * bins.width, static_cast<double>(j + 1) * bins.width,
                      percent(shares.bins[j].correct), percent(shares.bins[j].wrong));
    }
    numbers += table(escape(runs[i].name), "", rows + "</tbody>");
  }
  html +=
      "<figcaption><b>Figure 2.</b> Share of images by certified radius: in colour the images "
      "whose label is right, in grey above them those whose label is wrong. Images without a "
      "certificate stand apart on the left. The scales are the same for all "
      "runs.</figcaption>\n</figure>\n";
  return html +
         fmt::format("<details><summary>Numbers of figure 2</summary>{}</details>\n", numbers);
}

/// The record of the image asked for, or the one of median radius among the images that are right
/// and certified; null when there is none.
const CertificateRecord* chosen_record(const Run& run, std::optional<std::int64_t> image) {
  std::vector<const CertificateRecord*> candidates;
  for (const CertificateRecord& record : run.log.records) {
    const bool typical = record.radius > 0 && record.prediction == record.label;
    if (image ? record.image == *image : typical) candidates.push_back(&record);
  }
  if (candidates.empty()) return nullptr;
  std::ranges::sort(candidates, {}, [](const CertificateRecord* record) {
    return std::pair(record->radius, record->image);
  });
  return candidates[(candidates.size() - 1) / 2];
}

/// One sentence on what the thin bars are, by the certificate that was used.
std::string reach_text(const CertificateLogHeader& header, const Stability& stability) {
  if (stability.attack == 0)
    return "No attack size is certified, so no reach of an attack is drawn.";
  const Calibration& calibration = header.calibration;
  const std::string attack =
      fmt::format("a change of {} {:.3g}", norm_text(calibration.attack_norm), stability.attack);
  if (header.options.kind == CertificateKind::exact) {
    return fmt::format(
        "The thin bars show where {} could move the expected scores at most: {}.", attack,
        calibration.mechanism == Mechanism::gaussian
            ? fmt::format("by {:.3f} standard deviations of the normal distribution "
                          "(sensitivity × size / noise scale) up or down",
                          calibration.sensitivity * stability.attack / calibration.noise_scale)
            : "along the trade-off curve of the Laplace noise");
  }
  return fmt::format(
      "The thin bars show where {} could move the expected scores at most: against it the noise "
      "makes the model (ε, δ)-differentially private with ε = {:.3f} and δ = {:.4f}, so a score p "
      "stays between e<sup>−ε</sup>(p − δ) and e<sup>ε</sup>p + δ.",
      attack, stability.epsilon, stability.delta);
}

std::string stability_table(const Stability& stability, std::size_t rows) {
  std::string html =
      "<thead><tr><th scope=\"col\">Label</th><th scope=\"col\">observed</th>"
      "<th scope=\"col\">lower</th><th scope=\"col\">upper</th>"
      "<th scope=\"col\">attacked, lower</th><th scope=\"col\">attacked, upper</th></tr></thead>\n"
      "<tbody>";
  for (std::size_t i = 0; i < rows; ++i) {
    const LabelScore& score = stability.labels[i];
    html += fmt::format(
        "<tr><th scope=\"row\">{}</th><td>{:.4f}</td><td>{:.4f}</td><td>{:.4f}</td><td>{:.4f}</td>"
        "<td>{:.4f}</td></tr>\n",
        score.label, score.observed, score.lower, score.upper, score.attacked_lower,
        score.attacked_upper);
  }
  return fmt::format(
      "<details><summary>Numbers of this figure</summary>\n{}</details>\n",
      table("Expected scores and their bounds, rounded to four decimals.", "", html + "</tbody>"));
}

std::string image_section(const std::vector<Run>& runs, std::optional<std::int64_t> image) {
  std::string html;
  bool found = false;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const CertificateRecord* record = chosen_record(runs[i], image);
    found = found || record != nullptr;
    if (record == nullptr || !has_noise(runs[i])) continue;
    const CertificateLogHeader& header = runs[i].log.header;
    const Stability picture = stability(header, *record);
    const std::size_t rows = std::min(picture.labels.size(), most_labels);
    html += fmt::format(
        "<h3>{}: image {}, {}</h3>\n<figure>\n{}"
        "<figcaption>{} draws. Dots: the {} observed. Thick bars: bounds of the expected score "
        "that "
        "hold together with probability at least {:.6g}. {}{}</figcaption>\n</figure>\n{}",
        escape(runs[i].name), record->image,
        record->radius > 0 ? fmt::format("certified radius {:.4g}", record->radius)
                           : std::string("not certified"),
        stability_figure(picture, *record, i), record->statistics.draws,
        header.options.scores == ScoreType::argmax ? "share of the votes" : "mean softmax score",
        1 - header.options.alpha, reach_text(header, picture),
        rows < picture.labels.size()
            ? fmt::format(" The other {} labels have smaller upper bounds.",
                          picture.labels.size() - rows)
            : "",
        stability_table(picture, rows));
  }
  if (image && !found) fail_usage("no run has a certificate of image {}", *image);
  if (html.empty()) return html;
  return fmt::format(
      "<h2>One image, and why it is stable</h2>\n"
      "<p><b>Figure 3.</b> {} The prediction keeps its place as long as its colour stays right of "
      "all "
      "grey. At the certified radius the two dashed lines, its worst case and the best case of all "
      "others, have come together.</p>\n{}",
      image ? "The image asked for."
            : "Of each run the image of median radius among those that are right and certified.",
      html);
}

std::string training_table(const std::vector<Run>& runs) {
  std::string html =
      "<thead><tr><th scope=\"col\">Run</th><th scope=\"col\">step</th><th scope=\"col\">loss</th>"
      "<th scope=\"col\">accuracy, training</th><th scope=\"col\">accuracy, "
      "test</th></tr></thead>\n"
      "<tbody>";
  const auto last = [](const std::vector<double>& values) -> std::optional<double> {
    for (std::size_t i = values.size(); i-- > 0;) {
      if (std::isfinite(values[i])) return values[i];
    }
    return std::nullopt;
  };
  for (const Run& run : runs) {
    if (!run.training) continue;
    const auto step = last(run.training->step);
    const auto loss = last(run.training->loss);
    html += fmt::format(
        "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
        escape(run.name), step ? fmt::format("{:.10g}", *step) : "–",
        loss ? fmt::format("{:.4f}", *loss) : "–", percent(last(run.training->train_accuracy)),
        percent(last(run.training->test_accuracy)));
  }
  return fmt::format("<details><summary>Numbers at the end of training</summary>\n{}</details>\n",
                     table("The last value of each column.", "", html + "</tbody>"));
}

std::string training_section(const std::vector<Run>& runs) {
  const std::string loss = loss_figure(runs);
  const std::string accuracies = training_accuracy_figure(runs);
  if (loss.empty() && accuracies.empty()) return {};
  return fmt::format(
      "<h2>Training</h2>\n{}<figure>\n{}{}<figcaption><b>Figure 4.</b> How training went. Accuracy "
      "here was measured on the way; nothing of it is certified.</figcaption>\n</figure>\n{}",
      legend(runs, false), loss, accuracies, training_table(runs));
}

std::string meaning_section(const std::vector<Run>& runs) {
  constexpr double rho = 0.001;
  std::string set;
  for (const Run& run : runs) {
    const CertificateLogHeader& header = run.log.header;
    if (!has_noise(run) || header.options.alpha > 0.5) continue;
    const double attack = typical_attack(run);
    set += fmt::format(
        " For {} at T = {:.6g}: at least {} of its {} images.", escape(run.name), attack,
        percent(std::floor(1000 * certified_accuracy_of_set(run.log.records, attack,
                                                            header.options.alpha, rho)) /
                1000),
        run.log.records.size());
  }
  const bool grid = std::ranges::any_of(runs, [](const Run& run) {
    return has_noise(run) && run.log.header.options.kind == CertificateKind::pixeldp_grid;
  });
  return fmt::format(
      R"(<h2>What a certificate says, and what it does not</h2>
<dl class="says">
<dt>It says that the prediction cannot be changed.</dt>
<dd>The label with the highest expected score, the expectation taken over the noise, stays the same for
every change of the image whose norm is at most the certified radius, in units where a pixel spans 1.
This holds for all such changes, not only for attacks that somebody has tried.</dd>
<dt>It does not say that the label is right.</dt>
<dd>A wrong label can be certified too; certified accuracy counts only the right ones. Nor does it speak
of other changes: larger ones, or a rotation that is small to the eye but large in the norm.</dd>
<dt>It can fail, with a probability that is known.</dt>
<dd>The expected scores are bounded from a finite number of draws. For each prediction on its own, the
probability that the draws mislead the certificate is at most alpha (table 2); among many predictions
some may well be wrong. For all images at once, with probability {:.6g} over the draws:{}
This speaks of the images listed, not of others.</dd>
<dt>It rests on the noise being random.</dt>
<dd>Noise comes from the counter-based generator Philox4x32-10 with the recorded seed, which makes every
draw repeatable. The proof assumes true randomness, and an attacker who does not know the noise
beforehand.</dd>
<dt>It is a theorem on real numbers.</dt>
<dd>Sensitivities are rounded up, bounds outwards and radii down. That noise is added to numbers of
finite precision is not covered by the proof.</dd>
{}</dl>
)",
      1 - rho, set.empty() ? " nothing is certified." : set,
      grid ? "<dt>The certificate pixeldp-grid</dt><dd>repeats the search of the original program "
             "and "
             "is meant for comparison only.</dd>\n"
           : "");
}

std::string csv_cell(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

}  // namespace

std::vector<double> table_thresholds(const std::vector<Run>& runs) {
  std::set<double> thresholds(default_thresholds().begin(), default_thresholds().end());
  for (const Run& run : runs) {
    if (has_noise(run)) thresholds.insert(typical_attack(run));
  }
  std::vector<double> kept;
  for (const double threshold : thresholds) {
    kept.push_back(threshold);
    const bool nothing = std::ranges::all_of(
        runs, [&](const Run& run) { return certified_accuracy(run.log.records, threshold) == 0; });
    if (threshold > 0 && nothing) break;
  }
  return kept;
}

std::string report_page(const std::vector<Run>& runs, std::optional<std::int64_t> image) {
  const std::vector<double> thresholds = table_thresholds(runs);
  const CertificateLogHeader& first = runs.front().log.header;
  const std::string subtitle =
      same_data(runs) ? fmt::format("{}, {} split", escape(first.dataset), escape(first.split))
                      : std::string("several data sets");
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>Certified robustness: {0}</title>\n<style>{1}</style>\n</head>\n<body>\n<main>\n"
      "<h1>Certified robustness</h1>\n<p class=\"subtitle\">{0}; {2} {3}</p>\n{4}{5}"
      "<h2>Certified accuracy</h2>\n<figure>\n{6}{7}"
      "<figcaption><b>Figure 1.</b> Share of images that are right and certified at T or beyond. "
      "The mark at T = 0 is the accuracy without any "
      "attack.</figcaption>\n</figure>\n{8}{9}{10}{11}"
      "{12}{13}{14}</main>\n</body>\n</html>\n",
      subtitle, style_sheet(), runs.size(), runs.size() == 1 ? "run" : "runs", lead(runs),
      notes(runs), legend(runs, true), certified_accuracy_figure(runs),
      results_table(runs, thresholds), precision_table(runs, thresholds), radii_section(runs),
      image_section(runs, image), training_section(runs), meaning_section(runs),
      conditions_section(runs));
}

std::string report_csv(const std::vector<Run>& runs) {
  std::string csv = "run,threshold,images,certified_accuracy,certified_fraction,precision\n";
  for (const Run& run : runs) {
    std::vector<std::pair<double, bool>> radii;  // with whether the label is right
    std::size_t right = 0;
    for (const CertificateRecord& record : run.log.records) {
      radii.emplace_back(record.radius, record.prediction == record.label);
      right += radii.back().second ? 1 : 0;
    }
    std::ranges::sort(radii);
    const double images = static_cast<double>(radii.size());
    const auto row = [&](double threshold, std::size_t certified) {
      csv +=
          fmt::format("{},{},{},{},{},{}\n", csv_cell(run.name), threshold, radii.size(),
                      static_cast<double>(right) / images, static_cast<double>(certified) / images,
                      static_cast<double>(right) / static_cast<double>(certified));
    };
    if (radii.front().first > 0) row(0.0, radii.size());
    for (std::size_t i = 0; i < radii.size(); ++i) {
      if (i == 0 || radii[i].first != radii[i - 1].first) row(radii[i].first, radii.size() - i);
      right -= radii[i].second ? 1 : 0;
    }
  }
  return csv;
}

}  // namespace pixeldp::report
