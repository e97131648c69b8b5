#include "pixeldp/report/image_section.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "engine/error.hpp"
#include "engine/io/class_names.hpp"
#include "engine/io/png_data_uri.hpp"
#include "pixeldp/conditions.hpp"
#include "pixeldp/report/figures.hpp"
#include "pixeldp/report/stability.hpp"
#include "pixeldp/report/tables.hpp"

namespace pixeldp::report {
namespace {

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
  const std::string attack = fmt::format("a change of {} {}", norm_text(calibration.attack_norm),
                                         rounded(stability.attack, true, 3));
  const std::string bars =
      fmt::format("The thin bars show where {} could move the expected scores at most: ", attack);
  switch (header.options.kind) {
    case CertificateKind::exact:
      switch (calibration.mechanism) {
        case Mechanism::gaussian:
          return bars + fmt::format(
                            "by {:.3f} standard deviations of the normal distribution "
                            "(sensitivity × size / noise scale) up or down.",
                            calibration.sensitivity * stability.attack / calibration.noise_scale);
        case Mechanism::laplace:
          return bars + "along the trade-off curve of the Laplace noise.";
        case Mechanism::none:
          break;
      }
      fail("no noise limits what an attack can do");
    case CertificateKind::pixeldp:
    case CertificateKind::pixeldp_grid:
      return bars + fmt::format(
                        "against it the noise makes the model (ε, δ)-differentially private with ε "
                        "= {:.3f} and δ = {:.4f}, so a score p stays between e<sup>−ε</sup>(p − δ) "
                        "and e<sup>ε</sup>p + δ.",
                        stability.epsilon, stability.delta);
    case CertificateKind::cdf:
      return bars + fmt::format(
                        "the probability that a score reaches a threshold moves by {:.3f} standard "
                        "deviations of the normal distribution (sensitivity × size / noise scale) "
                        "up or down, at each of {} thresholds.",
                        calibration.sensitivity * stability.attack / calibration.noise_scale,
                        score_thresholds);
  }
  fail("not a certificate: {}", static_cast<int>(header.options.kind));
}

/// What the grey dashed line is where several labels must overtake.
std::string overtaking_text(const CertificateLogHeader& header) {
  const int top = header.options.top;
  if (top == 1) return {};
  return fmt::format(
      " The label leaves the {0} first only if {0} others overtake it: the grey dashed line is the "
      "score that all of them can have together at most, though fewer may have more.",
      top);
}

std::string stability_table(const Stability& stability, std::string_view dataset,
                            std::size_t rows) {
  std::string html =
      "<thead><tr><th scope=\"col\">Label</th><th scope=\"col\">observed</th>"
      "<th scope=\"col\">lower</th><th scope=\"col\">upper</th>"
      "<th scope=\"col\">attacked, lower</th><th scope=\"col\">attacked, upper</th></tr></thead>\n"
      "<tbody>";
  for (std::size_t i = 0; i < rows; ++i) {
    const LabelScore& score = stability.labels[i];
    html += fmt::format(
        "<tr><th "
        "scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
        escape(label_text(dataset, score.label)), hundredths(score.observed),
        hundredths(score.lower), hundredths(score.upper), hundredths(score.attacked_lower),
        hundredths(score.attacked_upper));
  }
  return fmt::format("<details><summary>Numbers of this figure</summary>\n{}</details>\n",
                     table("Expected scores and their bounds, rounded to hundredths of a percent.",
                           "", html + "</tbody>"));
}

/// The image itself, where it was found.
std::string picture(const Run& run, const CertificateRecord& record) {
  if (!run.images || record.image >= run.images->size()) return {};
  const Dataset& set = *run.images;
  Image image{.height = set.height,
              .width = set.width,
              .channels = set.channels,
              .pixels = Bytes(static_cast<std::size_t>(set.image_size()))};
  set.read(record.image, image.pixels.data());
  return fmt::format(
      "<img class=\"picture\" width=\"112\" height=\"112\" alt=\"Image {} of {}, label {}\" "
      "src=\"{}\"/>\n",
      record.image, escape(set.name), escape(label_text(set.name, record.label)),
      png_data_uri(image));
}

}  // namespace

std::string image_section(const std::vector<Run>& runs, std::optional<std::int64_t> image) {
  std::string html;
  bool found = false;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const CertificateRecord* record = chosen_record(runs[i], image);
    found = found || record != nullptr;
    const CertificateLogHeader& header = runs[i].log.header;
    if (record == nullptr || !has_noise(runs[i])) continue;
    const Stability stable = stability(header, *record);
    const std::size_t rows = std::min(stable.labels.size(), most_labels);
    html += fmt::format(
        "<h3>{}: image {}, {}</h3>\n<figure>\n{}{}"
        "<figcaption>{} draws. Dots: the {} observed. Thick bars: bounds of the expected score "
        "that "
        "hold together with probability at least {:.6g} ({}). {}{}{} In bold {}{}."
        "</figcaption>\n</figure>\n{}",
        escape(runs[i].name), record->image,
        record->radius > 0 ? "certified radius " + rounded(record->radius, true, 4)
                           : std::string("not certified"),
        picture(runs[i], *record), stability_figure(stable, *record, header, i),
        record->statistics.draws, score_text(header.options.scores), 1 - header.options.alpha,
        name(header.options.bound), reach_text(header, stable), overtaking_text(header),
        rows < stable.labels.size() ? fmt::format(" The other {} labels have smaller upper bounds.",
                                                  stable.labels.size() - rows)
                                    : "",
        header.options.top == 1 ? "the prediction" : "the label that is certified",
        record->prediction == record->label ? ", which is right"
        : record->label < 0
            ? ", which is wrong"
            : fmt::format("; right would be {}", escape(label_text(header.dataset, record->label))),
        stability_table(stable, header.dataset, rows));
  }
  if (image && !found) fail_usage("no run has a certificate of image {}", *image);
  if (html.empty()) return html;
  const bool several =
      std::ranges::any_of(runs, [](const Run& run) { return run.log.header.options.top > 1; });
  return fmt::format(
      "<h2>One image, and why it is stable</h2>\n"
      "<p><b>Figure 3.</b> {} The prediction keeps its place as long as its colour stays right of "
      "all "
      "grey{}. At the certified radius the two dashed lines, its worst case and the best case of "
      "all "
      "others, have come together.</p>\n{}",
      image ? "The image asked for."
            : "Of each run the image of median radius among those that are right and certified.",
      several ? ", or, of certificates of the K first labels, of the grey dashed line" : "", html);
}

}  // namespace pixeldp::report
