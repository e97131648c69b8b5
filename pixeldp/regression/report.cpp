#include "pixeldp/regression/report.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/error.hpp"
#include "engine/io/png_data_uri.hpp"
#include "pixeldp/report/figures.hpp"
#include "pixeldp/report/report.hpp"
#include "pixeldp/report/tables.hpp"

namespace pixeldp::report {
namespace {

constexpr std::size_t most_images = 200;  // of curves, which certify each image many times

constexpr std::array<OutputOptions, 5> known_forms = {
    {{Prediction::mean, CertificateKind::exact, Bound::betting},
     {Prediction::mean, CertificateKind::pixeldp, Bound::betting},
     {Prediction::mean, CertificateKind::pixeldp, Bound::empirical_bernstein},
     {Prediction::mean, CertificateKind::pixeldp, Bound::hoeffding},
     {Prediction::median, CertificateKind::exact, Bound::clopper_pearson}}};

bool exists(const OutputOptions& options, const RegressionLogHeader& header) {
  try {
    check_output_options(options, header.output, header.calibration);
    return true;
  } catch (const Error&) {
    return false;
  }
}

std::string form_name(const OutputOptions& o) {
  return fmt::format("{} of the {}, {}", name(o.kind), name(o.prediction), name(o.bound));
}

/// What other forms are compared with: the paper's, by its best bound.
bool is_reference(const OutputOptions& options) {
  return options.kind == CertificateKind::pixeldp && options.bound == Bound::betting;
}

std::vector<double> interval_widths(const RegressionLogHeader& header,
                                    std::span<const RegressionRecord> records, double radius) {
  std::vector<double> widths;
  for (const RegressionRecord& record : records)
    widths.push_back(certificate_of(header, record).interval(radius).width());
  return widths;
}

std::span<const RegressionRecord> of_curves(const RegressionRun& run) {
  return std::span(run.log.records).first(std::min(run.log.records.size(), most_images));
}

/// One of the means of what the forms prove, against the radius.
std::string reach_figure(const RegressionRun& run, double ReachSummary::*value,
                         std::string_view title) {
  double highest = 0.0;
  for (const OutputForm& form : run.forms)
    for (const ReachSummary& reach : form.reaches)
      if (std::isfinite(reach.*value)) highest = std::max(highest, reach.*value);
  return wide_and_narrow([&](double width, std::string_view classes) {
    Plot plot({width, 300}, {}, {0, run.radii.back()}, {0, highest});
    plot.y_axis(fmt::format("{}, mean over the images", title), round_ticks({0, highest}, 5),
                "{:g}");
    plot.x_axis("radius", round_ticks({0, run.radii.back()}, 6), "{:g}");
    for (std::size_t i = 0; i < run.forms.size(); ++i) {
      std::vector<Point> points;
      for (std::size_t j = 0; j < run.radii.size(); ++j)
        if (const double y = run.forms[i].reaches[j].*value; std::isfinite(y))
          points.push_back(plot.at({run.radii[j], y}));
      plot.line(points, series(i));
    }
    return plot.element(classes, fmt::format("{} against radius", title),
                        "A curve for each certificate of the same draws.");
  });
}

std::string form_legend(const RegressionRun& run) {
  std::string html = "<ul class=\"legend\">";
  for (std::size_t i = 0; i < run.forms.size(); ++i)
    html += fmt::format(
        "<li><svg viewBox=\"0 0 26 12\" aria-hidden=\"true\"><path class=\"line {}\" "
        "d=\"M0 6H26\"/></svg>{}</li>",
        series(i), form_name(run.forms[i].options));
  return html + "</ul>\n";
}

std::string form_table(const RegressionRun& run) {
  std::string html = "<thead><tr><th>Certificate</th>";
  for (std::size_t j = 0; j < run.radii.size(); j += 2)
    html += fmt::format("<th scope=\"col\">{:.4g}</th>", run.radii[j]);
  html += "</tr></thead>\n<tbody>";
  for (const OutputForm& form : run.forms) {
    html += fmt::format("<tr><th scope=\"row\">{}</th>", form_name(form.options));
    for (std::size_t j = 0; j < run.radii.size(); j += 2)
      html += fmt::format("<td>{:.3g} / {:.3g}</td>", form.reaches[j].mean_width,
                          form.reaches[j].mean_move);
    html += "</tr>\n";
  }
  return table(
      fmt::format(
          "Width of the interval / bound of the move by radius, means over {} images, by every "
          "certificate of the same draws. Each holds for itself with probability {:.6g}.",
          of_curves(run).size(), 1 - run.log.header.options.alpha),
      "", html + "</tbody>");
}

/// Which form's intervals are narrower on the very same draws, image by image.
std::string comparison_table(const RegressionRun& run) {
  if (run.forms.front().narrower.empty()) return {};
  std::string html = "<thead><tr><th>Certificate</th>";
  for (std::size_t j = 0; j < run.radii.size(); j += 2)
    html += fmt::format("<th scope=\"col\">{:.4g}</th>", run.radii[j]);
  html += "</tr></thead>\n<tbody>";
  for (const OutputForm& form : run.forms) {
    if (is_reference(form.options)) continue;
    html += fmt::format("<tr><th scope=\"row\">{}</th>", form_name(form.options));
    for (std::size_t j = 0; j < run.radii.size(); j += 2)
      html += fmt::format("<td>{}</td>", percent(form.narrower[j]));
    html += "</tr>\n";
  }
  return table(fmt::format("Share of the {} images whose interval is narrower than that of the "
                           "paper's lemma by its best bound (pixeldp of the mean, betting), from "
                           "the same draws, by radius.",
                           of_curves(run).size()),
               "", html + "</tbody>");
}

/// The interval that the log was made for, or that of the construction bound.
OutputInterval interval_of(const RegressionRun& run, const RegressionRecord& record) {
  if (record.interval) return *record.interval;
  return certificate_of(run.log.header, record).interval(run.radii[run.radii.size() / 2]);
}

double shown_radius(const RegressionRun& run) {
  return run.log.header.radius.value_or(run.radii[run.radii.size() / 2]);
}

/// An end of an interval within what is drawn.
OutputInterval within_range(const OutputInterval& interval, const kernels::RealOutput& output) {
  return {std::clamp(interval.low, output.low, output.high),
          std::clamp(interval.high, output.low, output.high)};
}

std::string scatter_figure(const RegressionRun& run) {
  const kernels::RealOutput& output = run.log.header.output;
  constexpr std::size_t most_bars = 80;
  const std::size_t step = std::max<std::size_t>(1, run.log.records.size() / most_bars);
  return wide_and_narrow([&](double width, std::string_view classes) {
    const Interval range{output.low, output.high};
    Plot plot({width, 360}, {}, range, range);
    plot.y_axis("prediction and interval", round_ticks(range, 5), "{:g}");
    plot.x_axis("label", round_ticks(range, 6), "{:g}");
    const Point diagonal[] = {plot.at({output.low, output.low}),
                              plot.at({output.high, output.high})};
    plot.line(diagonal, "rule rest");
    for (std::size_t i = 0; i < run.log.records.size(); i += step) {
      const RegressionRecord& record = run.log.records[i];
      const OutputInterval interval = within_range(interval_of(run, record), output);
      const Point bar[] = {plot.at({record.label, interval.low}),
                           plot.at({record.label, interval.high})};
      plot.line(bar, "thin s0");
      plot.dot(plot.at({record.label, record.prediction}), 2.5, "s0");
    }
    return plot.element(classes, "Predictions against labels",
                        "A dot for each image, and a bar for its interval.");
  });
}

/// A picture with its label, its prediction and its interval on the range of the output.
std::string example(const RegressionRun& run, const RegressionRecord& record) {
  std::string picture;
  if (run.images && record.image < run.images->size()) {
    const Dataset& set = *run.images;
    Image image{.height = set.height,
                .width = set.width,
                .channels = set.channels,
                .pixels = Bytes(static_cast<std::size_t>(set.image_size()))};
    set.read(record.image, image.pixels.data());
    picture = fmt::format(
        "<img class=\"picture\" width=\"112\" height=\"112\" alt=\"Image {} of {}\" src=\"{}\"/>\n",
        record.image, escape(set.name), png_data_uri(image));
  }
  const kernels::RealOutput& output = run.log.header.output;
  const OutputInterval interval = interval_of(run, record), drawn = within_range(interval, output);
  const std::string figure = wide_and_narrow([&](double width, std::string_view classes) {
    const Interval range{output.low, output.high};
    Plot plot({width, 64}, {.left = 12, .right = 12, .top = 8, .bottom = 40}, range, {0, 1});
    plot.x_axis("", round_ticks(range, 8), "{:g}");
    plot.rectangle(plot.at({drawn.low, 0.2}), plot.at({drawn.high, 0.8}), "area s0");
    plot.dot(plot.at({record.prediction, 0.5}), 4, "s0");
    plot.diamond(plot.at({record.label, 0.5}), 5, "s1");
    return plot.element(classes, "One prediction", "The interval, the prediction and the label.");
  });
  return fmt::format(
      "<h3>Image {}: label {:.1f}, prediction {:.1f}, interval {:.2f} to {:.2f}</h3>\n"
      "<figure>\n{}{}</figure>\n",
      record.image, record.label, record.prediction, interval.low, interval.high, picture, figure);
}

std::string examples(const RegressionRun& run) {
  constexpr std::size_t most_examples = 6;
  std::vector<const RegressionRecord*> by_label;
  for (const RegressionRecord& record : run.log.records) by_label.push_back(&record);
  std::ranges::sort(by_label, {}, [](const RegressionRecord* r) { return r->label; });
  std::string html;
  const std::size_t count = std::min(most_examples, by_label.size());
  for (std::size_t i = 0; i < count; ++i)
    html += example(run, *by_label[(2 * i + 1) * by_label.size() / (2 * count)]);
  return html;
}

std::string section(const RegressionRun& run) {
  const RegressionLogHeader& header = run.log.header;
  const RegressionMetrics metrics = regression_metrics(run.log.records);
  const std::string radius = fmt::format("{:.6g}", shown_radius(run));
  const std::string norm = norm_text(header.calibration.attack_norm);
  return fmt::format(
      "<h2>{0}</h2>\n<p>{1} images of {2} ({3}); the error is {4:.3g} in the mean and {5:.3g} as "
      "the root of the mean square. Shown: {6}.</p>\n"
      "{7}<figure>\n{8}<figcaption><b>Figure 1.</b> The largest error that a change of {9} up to "
      "the radius can cause, and the width of the interval that the prediction cannot leave, as "
      "far "
      "as each certificate of the same draws can tell, means over {10} images. At radius 0 they "
      "are "
      "the error and what the number of draws leaves open.</figcaption>\n"
      "</figure>\n{11}"
      "<figure>\n{12}<figcaption><b>Figure 2.</b> Predictions against labels. A bar is the "
      "interval "
      "that the expected prediction cannot leave within a radius of {13}, with probability at "
      "least "
      "{14:.6g} over the draws of each image. On the dotted line a prediction is "
      "right.</figcaption>"
      "\n</figure>\n<p><b>Figure 3.</b> Images in the order of their labels, with the interval "
      "within a radius of {13} (bar), the prediction (dot) and the label (diamond).</p>\n{15}",
      escape(run.name), run.log.records.size(), escape(header.dataset), escape(header.split),
      metrics.mean_error, metrics.root_mean_square, escape(conditions_text(header)),
      form_legend(run),
      reach_figure(run, &ReachSummary::mean_error, "Largest error") +
          reach_figure(run, &ReachSummary::mean_width, "Width of the interval"),
      norm, of_curves(run).size(), form_table(run) + comparison_table(run), scatter_figure(run),
      radius, 1 - header.options.alpha, examples(run));
}

}  // namespace

RegressionRun load_regression_run(const std::filesystem::path& folder,
                                  const std::optional<std::string>& directory) {
  const std::filesystem::path path = folder / "certificates.jsonl";
  RegressionRun run{.name = std::filesystem::weakly_canonical(folder).filename().string(),
                    .log = read_regression_log(path)};
  const RegressionLogHeader& header = run.log.header;
  if (run.log.records.empty())
    fail("{}: the log holds no image yet; continue it with: pixeldp certify {} --resume",
         path.string(), folder.string());
  try {
    auto images = std::make_shared<const Dataset>(load_dataset(
        header.dataset, header.split, find_dataset_directory(header.dataset, directory)));
    if (images->sha256() == header.dataset_sha256) run.images = std::move(images);
  } catch (const Error&) {
    // Pictures are an extra: certificates need none.
  }
  const Calibration& c = header.calibration;
  const double unit = c.construction ? c.construction->bound : c.noise_scale / c.sensitivity / 2.0;
  constexpr int points = 12;
  constexpr double most_units = 3.0;
  for (int i = 0; i <= points; ++i) run.radii.push_back(most_units * unit * i / points);
  // Of each form, by radius and image.
  std::vector<std::vector<std::vector<double>>> widths;
  std::optional<std::size_t> reference;
  for (OutputOptions options : known_forms) {
    options.alpha = header.options.alpha;
    if (!exists(options, header)) continue;
    RegressionLogHeader other = header;
    other.options = options;
    OutputForm form{.options = options};
    widths.emplace_back();
    for (const double radius : run.radii) {
      form.reaches.push_back(reach_summary(other, of_curves(run), radius));
      widths.back().push_back(interval_widths(other, of_curves(run), radius));
    }
    if (is_reference(options)) reference = run.forms.size();
    run.forms.push_back(std::move(form));
  }
  for (std::size_t i = 0; reference && i < run.forms.size(); ++i) {
    for (std::size_t j = 0; j < run.radii.size(); ++j) {
      const std::vector<double>&mine = widths[i][j], &theirs = widths[*reference][j];
      std::size_t narrower = 0;
      for (std::size_t k = 0; k < mine.size(); ++k) narrower += mine[k] < theirs[k];
      run.forms[i].narrower.push_back(static_cast<double>(narrower) /
                                      static_cast<double>(mine.size()));
    }
  }
  return run;
}

std::string regression_page(const std::vector<RegressionRun>& runs) {
  std::string html;
  for (const RegressionRun& run : runs) html += section(run);
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>Certified regression</title>\n<style>{}</style>\n</head>\n<body>\n<main>\n"
      "<h1>Certified regression</h1>\n{}</main>\n</body>\n</html>\n",
      style_sheet(), html);
}

std::string regression_csv(const std::vector<RegressionRun>& runs) {
  std::string csv =
      "run,prediction,certificate,bound,radius,mean_width,mean_largest_error,mean_move,"
      "holds_label,narrower_than_lemma\n";
  for (const RegressionRun& run : runs)
    for (const OutputForm& form : run.forms)
      for (std::size_t i = 0; i < run.radii.size(); ++i) {
        const ReachSummary& reach = form.reaches[i];
        csv += fmt::format("{},{},{},{},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{}\n", run.name,
                           name(form.options.prediction), name(form.options.kind),
                           name(form.options.bound), run.radii[i], reach.mean_width,
                           reach.mean_error, reach.mean_move, reach.within_label,
                           form.narrower.empty() ? "" : fmt::format("{:.6g}", form.narrower[i]));
      }
  return csv;
}

}  // namespace pixeldp::report
