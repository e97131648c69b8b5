#include "pixeldp/report/report.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "engine/error.hpp"
#include "pixeldp/metrics.hpp"
#include "pixeldp/report/figures.hpp"

namespace pixeldp::report {
namespace {

std::string percent(double share) { return fmt::format("{:.1f}%", 100 * share); }

std::string percent(std::optional<double> share) { return share ? percent(*share) : "–"; }

/// Whether all runs agree on what `field` picks from a header.
template <typename Field>
bool agree(const std::vector<Run>& runs, Field field) {
  return std::ranges::all_of(
      runs, [&](const Run& run) { return field(run.log.header) == field(runs[0].log.header); });
}

std::set<std::int64_t> images_of(const Run& run) {
  std::set<std::int64_t> images;
  for (const CertificateRecord& record : run.log.records) images.insert(record.image);
  return images;
}

std::string images_text(const Run& run) {
  const std::set<std::int64_t> images = images_of(run);
  const std::int64_t first = *images.begin();
  const std::int64_t last = *images.rbegin();
  return fmt::format("{} ({}{} to {})", images.size(),
                     last - first + 1 == static_cast<std::int64_t>(images.size()) ? "" : "some of ",
                     first, last);
}

/// A legend entry: a piece of the run's line, or its mark.
std::string legend(const std::vector<Run>& runs) {
  std::string html = "<ul class=\"legend\">";
  for (std::size_t i = 0; i < runs.size(); ++i) {
    html += fmt::format(
        "<li><svg viewBox=\"0 0 26 12\" aria-hidden=\"true\"><path class=\"{} {}\" d=\"{}\"/></svg>"
        "{}{}</li>",
        has_noise(runs[i]) ? "line" : "dot", series(i),
        has_noise(runs[i]) ? "M0 6H26" : "M13 0l6 6l-6 6l-6 -6z", escape(runs[i].name),
        has_noise(runs[i]) ? "" : " (no noise)");
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
      const double attack = calibration.construction_bound;
      html += fmt::format(
          "; on <b>{}</b> it is right and provably stays so under every change of {} up to {:.6g}, "
          "the attack size it was built for. Its median certified radius is {:.3g}.</li>\n",
          percent(certified_accuracy(records, attack)), norm_text(calibration.attack_norm), attack,
          median_radius(records));
    } else {
      html += ". It adds no noise, so nothing is certified: it is the baseline.</li>\n";
    }
  }
  return html + "</ul>\n";
}

/// What keeps the runs from being compared number by number.
std::string notes(const std::vector<Run>& runs) {
  std::string text;
  if (!agree(runs, [](const auto& header) { return header.dataset_sha256 + header.split; })) {
    text +=
        "The runs were certified on different data: their figures stand side by side, but must "
        "not be compared. ";
  } else if (!std::ranges::all_of(
                 runs, [&](const Run& run) { return images_of(run) == images_of(runs[0]); })) {
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

/// Rows of certified accuracy and the like at the thresholds; the best of several comparable runs
/// is set in bold.
std::string results_table(const std::vector<Run>& runs, const std::vector<double>& thresholds) {
  std::string html = fmt::format(
      "<div class=\"scroll\"><table class=\"full\"><caption><b>Table 1.</b> Accuracy, and "
      "certified "
      "accuracy at thresholds T: the share of images that are right and whose certified radius is "
      "at "
      "least T. Certified: radius above 0, right or wrong. In the mean and the median radius an "
      "image "
      "that is wrong counts as 0.</caption>\n<thead><tr><th></th><th></th>"
      "<th class=\"group\" colspan=\"{}\">certified accuracy at T =</th><th></th>"
      "<th class=\"group\" colspan=\"2\">radius</th></tr>\n"
      "<tr><th scope=\"col\">Run</th><th scope=\"col\">Images</th>",
      thresholds.size());
  for (const double threshold : thresholds) {
    html += threshold == 0 ? "<th scope=\"col\">0 (accuracy)</th>"
                           : fmt::format("<th scope=\"col\">{:.6g}</th>", threshold);
  }
  html +=
      "<th scope=\"col\">Certified</th><th scope=\"col\">mean</th>"
      "<th scope=\"col\">median</th></tr></thead>\n<tbody>";
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const auto& records = runs[i].log.records;
    html += fmt::format("<tr><th scope=\"row\" class=\"run {}\">{}</th><td>{}</td>", series(i),
                        escape(runs[i].name), records.size());
    for (const double threshold : thresholds) {
      const double value = certified_accuracy(records, threshold);
      const bool best =
          runs.size() > 1 && value > 0 && std::ranges::all_of(runs, [&](const Run& other) {
            return certified_accuracy(other.log.records, threshold) <= value;
          });
      html += fmt::format("<td{}>{}</td>", best ? " class=\"best\"" : "", percent(value));
    }
    html +=
        fmt::format("<td>{}</td><td>{:.4f}</td><td>{:.4f}</td></tr>\n",
                    percent(1 - abstention(records)), mean_radius(records), median_radius(records));
  }
  return html + "</tbody></table></div>\n";
}

std::string precision_table(const std::vector<Run>& runs, const std::vector<double>& thresholds) {
  std::string html =
      "<details><summary>Certified fraction, and precision on certified images</summary>"
      "<div class=\"scroll\"><table><caption>Share of images with a radius of at least T, and how "
      "many of these are right.</caption>\n<thead><tr><th scope=\"col\">T</th>";
  for (const Run& run : runs) {
    html += fmt::format("<th scope=\"col\">{}: fraction</th><th scope=\"col\">precision</th>",
                        escape(run.name));
  }
  html += "</tr></thead>\n<tbody>";
  for (const double threshold : thresholds) {
    if (threshold == 0) continue;
    html += fmt::format("<tr><th scope=\"row\">{:.6g}</th>", threshold);
    for (const Run& run : runs) {
      html += fmt::format("<td>{}</td><td>{}</td>",
                          percent(certified_fraction(run.log.records, threshold)),
                          percent(certified_precision(run.log.records, threshold)));
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div></details>\n";
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
    numbers += fmt::format(
        "<div class=\"scroll\"><table><caption>{}</caption><thead><tr><th scope=\"col\">Radius</th>"
        "<th scope=\"col\">right</th><th scope=\"col\">wrong</th></tr></thead>\n<tbody>"
        "<tr><th scope=\"row\">none</th><td>{}</td><td>{}</td></tr>\n",
        escape(runs[i].name), percent(shares.none.correct), percent(shares.none.wrong));
    for (std::size_t j = 0; j < shares.bins.size(); ++j) {
      numbers +=
          fmt::format("<tr><th scope=\"row\">{:.6g} to {:.6g}</th><td>{}</td><td>{}</td></tr>\n",
                      static_cast<double>(j) * bins.width, static_cast<double>(j + 1) * bins.width,
                      percent(shares.bins[j].correct), percent(shares.bins[j].wrong));
    }
    numbers += "</tbody></table></div>\n";
  }
  html +=
      "<figcaption><b>Figure 2.</b> Share of images by certified radius: in colour the images "
      "whose label is right, in grey above them those whose label is wrong. Images without a "
      "certificate stand apart on the left.</figcaption>\n</figure>\n";
  return html +
         fmt::format("<details><summary>Numbers of figure 2</summary>{}</details>\n", numbers);
}

/// The record of the image asked for, or the certified one with the median radius; null when there
/// is none.
const CertificateRecord* chosen_record(const Run& run, std::optional<std::int64_t> image) {
  std::vector<const CertificateRecord*> candidates;
  for (const CertificateRecord& record : run.log.records) {
    if (image ? record.image == *image : record.radius > 0) candidates.push_back(&record);
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
      "<details><summary>Numbers of this figure</summary><div class=\"scroll\"><table><thead><tr>"
      "<th scope=\"col\">Label</th><th scope=\"col\">observed</th><th scope=\"col\">lower</th>"
      "<th scope=\"col\">upper</th><th scope=\"col\">attacked, lower</th>"
      "<th scope=\"col\">attacked, upper</th></tr></thead>\n<tbody>";
  for (std::size_t i = 0; i < rows; ++i) {
    const LabelScore& score = stability.labels[i];
    html += fmt::format(
        "<tr><th scope=\"row\">{}</th><td>{:.4f}</td><td>{:.4f}</td><td>{:.4f}</td><td>{:.4f}</td>"
        "<td>{:.4f}</td></tr>\n",
        score.label, score.observed, score.lower, score.upper, score.attacked_lower,
        score.attacked_upper);
  }
  return html + "</tbody></table></div></details>\n";
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
      image ? "The image asked for." : "Of each run the certified image with the median radius.",
      html);
}

/// The last value of each column.
std::string training_table(const std::vector<Run>& runs) {
  std::string html =
      "<details><summary>Numbers at the end of training</summary><div class=\"scroll\"><table>"
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
  return html + "</tbody></table></div></details>\n";
}

std::string training_section(const std::vector<Run>& runs) {
  const std::string loss = loss_figure(runs);
  const std::string accuracies = training_accuracy_figure(runs);
  if (loss.empty() && accuracies.empty()) return {};
  return fmt::format(
      "<h2>Training</h2>\n{}<figure>\n{}{}<figcaption><b>Figure 4.</b> How training went. Accuracy "
      "here is that of single noisy predictions, not of certified "
      "ones.</figcaption>\n</figure>\n{}",
      runs.size() > 1 ? legend(runs) : "", loss, accuracies, training_table(runs));
}

std::string meaning_section(const std::vector<Run>& runs) {
  constexpr double rho = 0.001;
  std::string set;
  for (const Run& run : runs) {
    const CertificateLogHeader& header = run.log.header;
    if (!has_noise(run) || header.options.alpha > 0.5) continue;
    const double attack = header.calibration.construction_bound;
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
<dt>It says</dt>
<dd>that the label with the highest expected score, the expectation taken over the noise, stays the
same for every change of the image whose norm is at most the certified radius, in units where a pixel
spans 1. The bound holds for all such changes, not only for attacks that somebody has tried.</dd>
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

std::string conditions_section(const std::vector<Run>& runs) {
  std::string html =
      "<h2>Conditions</h2>\n<div class=\"scroll\"><table class=\"conditions "
      "full\"><caption><b>Table 2."
      "</b> All that the certificates depend on.</caption>\n<thead><tr><th></th>";
  for (const Run& run : runs) html += fmt::format("<th scope=\"col\">{}</th>", escape(run.name));
  html += "</tr></thead>\n<tbody>";
  const auto row = [&](std::string_view title, auto text, bool needs_noise = false) {
    html += fmt::format("<tr><th scope=\"row\">{}</th>", title);
    for (const Run& run : runs) {
      html += fmt::format("<td>{}</td>", needs_noise && !has_noise(run) ? "–" : text(run));
    }
    html += "</tr>\n";
  };
  const auto header = [](const Run& run) -> const CertificateLogHeader& { return run.log.header; };
  const auto calibration = [](const Run& run) -> const Calibration& {
    return run.log.header.calibration;
  };
  const auto number = [](double value) { return fmt::format("{}", value); };
  row("Data set", [&](const Run& run) {
    return fmt::format("{}, {} split", escape(header(run).dataset), escape(header(run).split));
  });
  row("Images", images_text);
  row("Mechanism", [&](const Run& run) { return std::string(name(calibration(run).mechanism)); });
  row(
      "Attack norm", [&](const Run& run) { return norm_text(calibration(run).attack_norm); }, true);
  row(
      "Construction bound L",
      [&](const Run& run) { return number(calibration(run).construction_bound); }, true);
  row(
      "Noise scale", [&](const Run& run) { return number(calibration(run).noise_scale); }, true);
  row(
      "Sensitivity", [&](const Run& run) { return number(calibration(run).sensitivity); }, true);
  row(
      "ε, δ of the construction",
      [&](const Run& run) {
        return number(calibration(run).epsilon) + (calibration(run).mechanism == Mechanism::gaussian
                                                       ? ", " + number(calibration(run).delta)
                                                       : ", 0");
      },
      true);
  row("Score type", [&](const Run& run) { return std::string(name(header(run).options.scores)); });
  row(
      "Bound", [&](const Run& run) { return std::string(name(header(run).options.bound)); }, true);
  row(
      "Certificate", [&](const Run& run) { return std::string(name(header(run).options.kind)); },
      true);
  row(
      "Failure probability alpha",
      [&](const Run& run) { return number(header(run).options.alpha); }, true);
  row("Draws", [&](const Run& run) { return fmt::format("{}", header(run).draws); });
  row("Label chosen on", [&](const Run& run) {
    return header(run).selection_draws == 0
               ? std::string("the same draws; the bounds pay for the choice")
               : fmt::format("{} other draws", header(run).selection_draws);
  });
  row("Seed", [&](const Run& run) { return fmt::format("{}", header(run).seed); });
  row("Model SHA-256",
      [&](const Run& run) { return fmt::format("<code>{}</code>", header(run).model_sha256); });
  row("Data SHA-256",
      [&](const Run& run) { return fmt::format("<code>{}</code>", header(run).dataset_sha256); });
  html += "</tbody></table></div>\n";
  for (const Run& run : runs) {
    if (!run.config) continue;
    html += fmt::format("<details><summary>Configuration of {}</summary><pre>{}</pre></details>\n",
                        escape(run.name), escape(*run.config));
  }
  return html;
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
    if (has_noise(run)) thresholds.insert(run.log.header.calibration.construction_bound);
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
      agree(runs, [](const auto& header) { return header.dataset_sha256 + header.split; })
          ? fmt::format("{}, {} split", escape(first.dataset), escape(first.split))
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
      notes(runs), runs.size() > 1 ? legend(runs) : "", certified_accuracy_figure(runs),
      results_table(runs, thresholds), precision_table(runs, thresholds), radii_section(runs),
      image_section(runs, image), training_section(runs), meaning_section(runs),
      conditions_section(runs));
}

std::string report_csv(const std::vector<Run>& runs) {
  std::string csv = "run,threshold,images,certified_accuracy,certified_fraction,precision\n";
  for (const Run& run : runs) {
    const auto& records = run.log.records;
    std::set<double> steps = {0.0};
    for (const CertificateRecord& record : records) steps.insert(record.radius);
    for (const double threshold : steps) {
      const auto precision = certified_precision(records, threshold);
      csv += fmt::format("{},{},{},{},{},{}\n", csv_cell(run.name), threshold, records.size(),
                         certified_accuracy(records, threshold),
                         certified_fraction(records, threshold),
                         precision ? fmt::format("{}", *precision) : "");
    }
  }
  return csv;
}

}  // namespace pixeldp::report
