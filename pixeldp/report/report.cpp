#include "pixeldp/report/report.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "engine/error.hpp"
#include "pixeldp/conditions.hpp"
#include "pixeldp/float_noise.hpp"
#include "pixeldp/metrics.hpp"
#include "pixeldp/recertification.hpp"
#include "pixeldp/report/figures.hpp"
#include "pixeldp/report/image_section.hpp"
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

/// How the curves of the certificates are drawn, of whatever run.
std::string certificate_legend(const std::vector<Run>& runs) {
  std::set<CertificateKind> kinds;
  for (const Run& run : runs) {
    if (!has_noise(run)) continue;
    for (const CertificateLog* log : all_certificates(run)) kinds.insert(log->header.options.kind);
  }
  if (kinds.empty()) return {};
  std::string html = "<ul class=\"legend\">";
  for (const CertificateKind kind : {CertificateKind::exact, CertificateKind::pixeldp,
                                     CertificateKind::pixeldp_grid, CertificateKind::cdf}) {
    if (!kinds.contains(kind)) continue;
    html += fmt::format(
        "<li><svg viewBox=\"0 0 26 12\" aria-hidden=\"true\"><path class=\"line rest {}\" "
        "d=\"M0 6H26\"/></svg>certificate {}</li>",
        dashes(kind), name(kind));
  }
  return html + "</ul>\n";
}

std::string lead(const std::vector<Run>& runs) {
  std::string html = "<ul class=\"lead\">\n";
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const auto& records = runs[i].log.records;
    const Calibration& calibration = runs[i].log.header.calibration;
    html += fmt::format("<li class=\"{}\"><b>{}</b> is right on <b>{}</b> of the images {}",
                        series(i), escape(runs[i].name), percent(accuracy(records)),
                        interval_text(accuracy(records), records.size()));
    if (has_noise(runs[i])) {
      const double attack = typical_attack(runs[i]);
      const double median = median_radius(records);
      html += fmt::format(
          "; on <b>{}</b> {} it is right and provably stays so under every change of {} up to "
          "{:.6g}, {}.{}</li>\n",
          percent(certified_accuracy(records, attack)),
          interval_text(certified_accuracy(records, attack), records.size()),
          norm_text(calibration.attack_norm), attack,
          calibration.construction ? "the attack size it was built for" : "half of its noise scale",
          median > 0 ? fmt::format(" Half of the images are right and certified up to {} or more.",
                                   rounded(median, true, 3))
                     : "");
    } else {
      html += ". It adds no noise, so nothing is certified: it is the baseline.</li>\n";
    }
  }
  return html +
         "</ul>\n<p class=\"remark\">In brackets: 95% Clopper–Pearson intervals over the images, "
         "for the share among all images of their kind.</p>\n";
}

/// What the curves of figure 1 are of, and where and why they end.
std::string accuracy_caption(const std::vector<Run>& runs) {
  std::string text =
      "<b>Figure 1.</b> Share of images that are right and certified at T or beyond. The mark at "
      "T = 0 is the accuracy without any attack.";
  std::string limits;
  bool cdf = false;
  std::vector<std::string> conditions;  // said once where runs share them
  for (const Run& run : runs) {
    if (!has_noise(run)) continue;
    const CertificateLogHeader& header = run.log.header;
    conditions.push_back(
        fmt::format("{}, {} bounds of {} scores{}, alpha = {} per prediction, {} after the noise",
                    draws_text(header), name(header.options.bound), name(header.options.scores),
                    header.options.top == 1 ? "" : ", certificates" + top_text(header.options),
                    header.options.alpha, function_text(header.function)));
    std::string most;
    for (const CertificateLog* log : all_certificates(run)) {
      cdf = cdf || log->header.options.kind == CertificateKind::cdf;
      most += fmt::format(
          "{}{} by {}", most.empty() ? "" : ", ",
          rounded(largest_possible_radius(log->header, log->records.front().statistics.classes()),
                  true, 4),
          name(log->header.options.kind));
    }
    limits += fmt::format("{}{}: {}", limits.empty() ? "" : "; ", escape(run.name), most);
  }
  if (conditions.empty()) return text;
  const bool shared = std::ranges::all_of(
      conditions, [&](const std::string& other) { return other == conditions.front(); });
  if (shared) {
    text += fmt::format(" {}{}.", runs.size() > 1 ? "All: " : "", conditions.front());
  } else {
    std::size_t next = 0;
    for (const Run& run : runs)
      if (has_noise(run)) text += fmt::format(" {}: {}.", escape(run.name), conditions[next++]);
  }
  return text +
         fmt::format(
             " {} certificates are of the same counts: <b>exact</b> is the most that they prove "
             "for this noise, <b>pixeldp</b> the condition of the paper (Lecuyer et al. 2019). "
             "{}No "
             "curve reaches beyond what so many draws prove at this alpha when all of them agree, "
             "the short marks on the axis ({}); images that are as robust as that or more end "
             "there "
             "together, which makes a cliff. More draws move it to the right.",
             cdf ? "All three" : "Both",
             cdf ? "<b>cdf</b> is of the distribution of the scores instead of their mean. " : "",
             limits);
}

/// Figures of another model than the settings and the training beside them make one believe.
std::string model_notes(const std::vector<Run>& runs) {
  std::string text;
  const auto digest = [](std::string_view sha256) { return sha256.substr(0, 12); };
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const std::string& certified = runs[i].log.header.model_sha256;
    if (!runs[i].model_sha256.empty() && runs[i].model_sha256 != certified) {
      text += fmt::format(
          "The model in the folder of {} is not the one that its log is of (SHA-256 {}… and {}…): "
          "it was changed since. ",
          escape(runs[i].name), digest(runs[i].model_sha256), digest(certified));
    }
    for (std::size_t j = 0; j < i; ++j) {
      const std::string& other = runs[j].log.header.model_sha256;
      if (!runs[i].config || runs[i].config != runs[j].config || other == certified) continue;
      text += fmt::format(
          "{} and {} have one configuration, but two models (SHA-256 {}… and {}…): what differs "
          "between them is not a matter of settings alone. ",
          escape(runs[j].name), escape(runs[i].name), digest(other), digest(certified));
    }
  }
  return text;
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
  text += model_notes(runs);
  for (const Run& run : runs) {
    const int top = run.log.header.options.top;
    if (top == 1 || !has_noise(run)) continue;
    text += fmt::format(
        "The certificates of {0} are of the {1} first labels: an image of it is right where its "
        "label is among the {1} first, and certified where the label provably stays among them, so "
        "that its certified accuracy is the certified top-{1} accuracy. ",
        escape(run.name), top);
  }
  for (const Run& run : runs) {
    const bool all = run.log.header.standing() == Standing::exploration;
    std::string which;
    for (const CertificateLog& other : run.others)
      if (!all && other.header.standing() == Standing::exploration)
        which += fmt::format("{} {}", which.empty() ? "" : " and", name(other.header.options.kind));
    if (!all && which.empty()) continue;
    text += fmt::format(
        "The certificates{} of {} are an exploration: their rule was chosen when the counts were "
        "known, so that alpha is not the probability that one fails. ",
        which, escape(run.name));
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

/// What the certificates are about: real numbers, or what the processor does.
std::string arithmetic_says(const std::vector<Run>& runs) {
  bool lattice = false, charged = false, uncharged = false;
  for (const Run& run : runs) {
    if (!has_noise(run)) continue;
    const Calibration& calibration = run.log.header.calibration;
    const bool sound = calibration.lattice_step > 0.0;
    lattice = lattice || sound;
    charged = charged || (!sound && is_charged(calibration));
    uncharged = uncharged || !is_charged(calibration);
  }
  std::string html;
  if (lattice)
    html +=
        "<dt>On a lattice, it is about what the processor does.</dt>\n<dd>Up to the noise only "
        "whole "
        "numbers were added, and the law of the noise is known to the last bit: nothing is lost to "
        "rounding (<code>certify --sound</code>).</dd>\n";
  if (!charged && !uncharged) return html;
  html +=
      "<dt>In floats, it is a theorem on real numbers.</dt>\n<dd>Sensitivities are rounded up, "
      "bounds outwards and radii down.";
  if (charged)
    html +=
        " Radii are charged for the noise's end, which ideal noise has not, and for rounding "
        "before "
        "the noise (table 2).";
  if (uncharged) html += " Where table 2 names no deduction, none was made.";
  return html +
         fmt::format(
             " That does not make noise in floats sound: the low bits of a sum tell of its terms, "
             "and a network that was made for it can read them. Recommended: <code>certify "
             "--sound</code>, with which certificates hold for what the processor does; {}.</dd>\n",
             escape(sound_cost));
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
probability that the draws mislead the certificate is at most alpha (figure 1, table 2); among many predictions
some may well be wrong. For all images at once, with probability {:.6g} over the draws:{}
This speaks of the images listed, not of others. The intervals in brackets speak of others: of all
images of which these are a random sample. They take the certificates as they are.</dd>
<dt>It rests on the noise being random.</dt>
<dd>Noise comes from the counter-based generator Philox4x32-10 with the recorded seed, which makes every
draw repeatable. The proof assumes true randomness, and an attacker who does not know the noise
beforehand.</dd>
{}{}</dl>
)",
      1 - rho, set.empty() ? " nothing is certified." : set, arithmetic_says(runs),
      grid ? "<dt>The certificate pixeldp-grid</dt><dd>repeats the search of the original program "
             "and "
             "is meant for comparison only.</dd>\n"
           : "");
}

/// A file's name as an address: all but a few characters as % and two digits.
std::string csv_link(std::string_view file) {
  if (file.empty()) return {};
  std::string address;
  for (const char c : file) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '.' || c == '-' || c == '_';
    address += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return fmt::format(
      "<p class=\"remark\">All steps of all curves as numbers: <a href=\"{}\">{}</a>.</p>\n",
      address, escape(file));
}

std::string page(std::string_view about, const std::string& content) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>Certified robustness: {0}</title>\n<style>{1}</style>\n</head>\n<body>\n<main>\n"
      "<h1>Certified robustness</h1>\n{2}</main>\n</body>\n</html>\n",
      about, style_sheet(), content);
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

std::string report_page(const std::vector<Run>& runs, std::optional<std::int64_t> image,
                        std::string_view csv, std::string_view comparisons) {
  const std::vector<double> thresholds = table_thresholds(runs);
  const CertificateLogHeader& first = runs.front().log.header;
  const std::string subtitle =
      same_data(runs) ? fmt::format("{}, {} split", escape(first.dataset), escape(first.split))
                      : std::string("several data sets");
  return page(subtitle,
              fmt::format("<p class=\"subtitle\">{0}; {1} {2}</p>\n{3}{4}{5}"
                          "<h2>Certified accuracy</h2>\n<figure>\n{6}{7}"
                          "<figcaption>{8}</figcaption>\n</figure>\n{9}{10}{11}{12}{13}"
                          "{14}{15}{16}",
                          subtitle, runs.size(), runs.size() == 1 ? "run" : "runs", comparisons,
                          lead(runs), notes(runs), legend(runs, true) + certificate_legend(runs),
                          certified_accuracy_figure(runs), accuracy_caption(runs), csv_link(csv),
                          results_table(runs, thresholds), details_tables(runs, thresholds),
                          radii_section(runs), image_section(runs, image), training_section(runs),
                          meaning_section(runs), conditions_section(runs)));
}

std::string comparison_page(std::string_view comparisons) {
  return page("comparisons", std::string(comparisons));
}

}  // namespace pixeldp::report
