#include "pixeldp/report/comparison.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine/error.hpp"
#include "pixeldp/metrics.hpp"
#include "pixeldp/report/csv.hpp"
#include "pixeldp/report/figures.hpp"
#include "pixeldp/report/report.hpp"
#include "pixeldp/report/tables.hpp"

namespace pixeldp::report {
namespace {

std::string title_of(Measure measure, AttackNorm norm) {
  switch (measure) {
    case Measure::certified_accuracy:
      return fmt::format("Certified accuracy ({})", norm_text(norm));
    case Measure::accuracy_under_attack:
      return fmt::format("Accuracy under attack ({})", norm_text(norm));
    case Measure::robust_precision:
      return fmt::format("Right among what is certified, under attack ({})", norm_text(norm));
  }
  fail("not a measure: {}", static_cast<int>(measure));
}

/// What is drawn together and stands in one table: curves and published values of one measure.
struct Panel {
  Measure measure;
  AttackNorm norm;
  std::vector<const Curve*> curves;
  std::vector<const Published*> published;

  /// The last curve of the network that a published value is held beside, if any.
  std::optional<std::size_t> curve_of(const Published& value) const {
    for (std::size_t i = curves.size(); i-- > 0;)
      if (std::ranges::find(value.of, curves[i]->network) != value.of.end()) return i;
    return std::nullopt;
  }
};

/// The certified accuracy of a run by one of its certificates.
Curve certified_accuracy_of(const Run& run, const CertificateLog& log) {
  Curve curve{.name = run.name,
              .network = run.name,
              .measure = Measure::certified_accuracy,
              .norm = log.header.calibration.attack_norm,
              .points = {{0.0, accuracy(log.records)}},
              .steps = has_noise(run),
              .images = log.records.size()};
  if (!has_noise(run)) return curve;
  curve.name += fmt::format(", {}", pixeldp::name(log.header.options.kind));
  for (const CurvePoint& point : pixeldp::certified_curve(log.records))
    if (point.threshold > 0.0)
      curve.points.push_back({point.threshold, static_cast<double>(point.correct) /
                                                   static_cast<double>(curve.images)});
  return curve;
}

/// A share at a threshold; that of curves of certificates holds down to the point before.
std::optional<double> value_at(const Curve& curve, double size) {
  if (curve.measure != Measure::certified_accuracy || size == 0.0) return curve.at(size);
  if (!curve.steps) return std::nullopt;  // without noise
  for (std::size_t i = 1; i < curve.points.size(); ++i)
    if (curve.points[i].x >= size) return curve.points[i].y;
  return 0.0;
}

std::vector<Curve> curves_of_runs(const std::vector<Run>& runs) {
  std::vector<Curve> curves;
  for (const Run& run : runs)
    for (const CertificateLog* log : all_certificates(run))
      curves.push_back(certified_accuracy_of(run, *log));
  return curves;
}

/// Attacks on networks that certify nothing stand beside those on certified predictions.
std::vector<Panel> panels_of(const Comparison& comparison, const std::vector<Curve>& certified) {
  std::vector<Panel> panels;
  const auto panel = [&](Measure measure, AttackNorm norm) -> Panel& {
    for (Panel& there : panels)
      if (there.measure == measure && there.norm == norm) return there;
    panels.push_back({measure, norm, {}, {}});
    return panels.back();
  };
  const auto precise = [&](AttackNorm norm) {
    return std::ranges::any_of(comparison.curves, [&](const Curve& curve) {
      return curve.measure == Measure::robust_precision && curve.norm == norm;
    });
  };
  // A network without noise has an accuracy whatever the norm.
  std::optional<AttackNorm> norm;
  for (const Curve& curve : certified)
    if (!norm && curve.steps) norm = curve.norm;
  for (const Curve& curve : certified)
    panel(curve.measure, curve.steps ? curve.norm : norm.value_or(curve.norm))
        .curves.push_back(&curve);
  for (const Curve& curve : comparison.curves)
    panel(precise(curve.norm) ? Measure::robust_precision : curve.measure, curve.norm)
        .curves.push_back(&curve);
  for (const Published& value : comparison.published)
    panel(value.measure, value.norm).published.push_back(&value);
  return panels;
}

/// The columns of a table: 0.6000000000000001 is 0.6.
double column(double size) { return std::round(1e9 * size) / 1e9; }

std::vector<double> sizes_of(const Panel& panel) {
  std::set<double> sizes = {0.0};
  double largest = 0.0;
  for (const Published* value : panel.published) sizes.insert(column(value->at));
  for (const Curve* curve : panel.curves) {
    if (panel.measure != Measure::certified_accuracy && !curve->steps)
      for (const Point& point : curve->points) sizes.insert(column(point.x));
    else if (!curve->points.empty())
      largest = std::max(largest, curve->points.back().x);
  }
  if (panel.measure == Measure::certified_accuracy) {
    for (const double size : default_thresholds())
      if (size <= largest) sizes.insert(size);
  } else if (largest > 0.0) {
    for (const double size : round_ticks({0.0, largest}, 6)) sizes.insert(column(size));
  }
  return {sizes.begin(), sizes.end()};
}

std::string table_of(const Panel& panel) {
  const std::vector<double> sizes = sizes_of(panel);
  std::string html = "<thead><tr><th></th>";
  for (const double size : sizes) html += fmt::format("<th scope=\"col\">{:.6g}</th>", size);
  html += "</tr></thead>\n<tbody>";
  const auto row = [&](const std::string& title, auto value) {
    html += fmt::format("<tr><th scope=\"row\">{}</th>", title);
    for (const double size : sizes) html += fmt::format("<td>{}</td>", percent(value(size)));
    html += "</tr>\n";
  };
  // Values published of one network are a row.
  std::vector<std::pair<std::string, std::optional<std::size_t>>> rows;
  for (const Published* value : panel.published) {
    const std::pair row_of(value->network, panel.curve_of(*value));
    if (std::ranges::find(rows, row_of) == rows.end()) rows.push_back(row_of);
  }
  const auto published = [&](const auto& wanted) {
    row("<small>published: " + escape(wanted.first) + "</small>",
        [&](double size) -> std::optional<double> {
          for (const Published* value : panel.published)
            if (value->network == wanted.first && panel.curve_of(*value) == wanted.second &&
                column(value->at) == size)
              return value->value;
          return std::nullopt;
        });
  };
  for (std::size_t i = 0; i < panel.curves.size(); ++i) {
    const Curve& curve = *panel.curves[i];
    row(fmt::format("{} <small>{} images</small>", escape(curve.name), curve.images),
        [&](double size) { return value_at(curve, size); });
    for (const auto& wanted : rows)
      if (wanted.second == i) published(wanted);
  }
  for (const auto& wanted : rows)
    if (!wanted.second) published(wanted);
  return table(fmt::format("{}, by size. Published values of other data sets, or of longer "
                           "training, tell how curves should run, not where.",
                           title_of(panel.measure, panel.norm)),
               "", html + "</tbody>");
}

std::string draw(const Panel& panel, double width, std::string_view classes) {
  const bool small = width < 500;
  double range = 0.0;
  for (const Curve* curve : panel.curves)
    if (!curve->points.empty()) range = std::max(range, curve->points.back().x);
  for (const Published* value : panel.published) range = std::max(range, value->at);
  range = range > 0.0 ? 1.04 * range : 1.0;
  Plot plot({width, small ? 260.0 : 340.0}, {.right = small ? 8.0 : 16.0}, {0, range}, {0, 1});
  plot.y_axis(title_of(panel.measure, panel.norm), round_ticks({0, 1}, 5), "{:.0f}%", 100);
  plot.x_axis("Size (a pixel spans 1)", round_ticks({0, range}, small ? 4 : 8), "{:.6g}");
  for (std::size_t i = 0; i < panel.curves.size(); ++i) {
    const Curve& curve = *panel.curves[i];
    // Shares of certificates hold down to the point before, others up to the next.
    const bool certified = curve.measure == Measure::certified_accuracy;
    std::vector<Point> line;
    for (const Point& point : curve.points) {
      const Point place = plot.at(point);
      if (!line.empty() && curve.steps)
        line.push_back(certified ? Point{line.back().x, place.y} : Point{place.x, line.back().y});
      line.push_back(place);
    }
    if (!line.empty() && curve.steps)
      line.push_back(certified ? Point{line.back().x, plot.bottom()}
                               : Point{plot.right(), line.back().y});
    if (line.size() > 1) plot.line(line, series(i));
    if (!curve.steps)
      for (const Point& point : curve.points) plot.dot(plot.at(point), 3.5, series(i));
  }
  for (const Published* value : panel.published) {
    const auto of = panel.curve_of(*value);
    plot.diamond(plot.at({value->at, value->value}), 5, of ? series(*of) : "rest");
  }
  return plot.element(classes, title_of(panel.measure, panel.norm),
                      "A curve per network; the numbers are in the table below.");
}

std::string legend(const Panel& panel) {
  std::string html = "<ul class=\"legend\">";
  const auto add = [&](std::string_view kind, std::string_view path, std::string_view text) {
    html += fmt::format(
        "<li><svg viewBox=\"0 0 26 12\" aria-hidden=\"true\"><path class=\"{}\" d=\"{}\"/></svg>"
        "{}</li>",
        kind, path, escape(text));
  };
  for (std::size_t i = 0; i < panel.curves.size(); ++i)
    add("line " + series(i), "M0 6H26", panel.curves[i]->name);
  if (!panel.published.empty()) add("dot rest", "M13 1l5 5l-5 5l-5 -5z", "published");
  return html + "</ul>\n";
}

std::string section_of(const Panel& panel) {
  std::set<std::string> ways;
  for (const Curve* curve : panel.curves)
    if (!curve->how.empty()) ways.insert(curve->how);
  std::string caption =
      "Diamonds are published values, in the colour of the network that they are held "
      "beside, grey for others.";
  if (panel.published.empty()) caption.clear();
  if (!ways.empty())
    caption += fmt::format(" By: {}.", escape(fmt::format("{}", fmt::join(ways, "; "))));
  return fmt::format("<h3>{}</h3>\n{}<figure>\n{}<figcaption>{}</figcaption>\n</figure>\n{}",
                     title_of(panel.measure, panel.norm), legend(panel),
                     wide_and_narrow([&](double width, std::string_view classes) {
                       return draw(panel, width, classes);
                     }),
                     caption, table_of(panel));
}

}  // namespace

std::string comparison_section(const Comparison& comparison) {
  const std::vector<Curve> certified = curves_of_runs(comparison.runs);
  std::string html = fmt::format("<h2>{}</h2>\n", escape(comparison.title));
  for (const Panel& panel : panels_of(comparison, certified)) html += section_of(panel);
  return html;
}

std::string comparison_csv(std::span<const Comparison> comparisons) {
  std::string csv = "title,measure,norm,curve,size,images,share\n";
  for (const Comparison& comparison : comparisons) {
    const std::vector<Curve> certified = curves_of_runs(comparison.runs);
    for (const Panel& panel : panels_of(comparison, certified)) {
      const auto line = [&](const std::string& curve, double size, const std::string& images,
                            double share) {
        csv +=
            fmt::format("{},{},{},{},{},{},{}\n", csv_cell(comparison.title), name(panel.measure),
                        pixeldp::name(panel.norm), csv_cell(curve), size, images, share);
      };
      for (const Curve* curve : panel.curves)
        for (const double size : sizes_of(panel))
          if (const auto share = value_at(*curve, size))
            line(curve->name, size, fmt::format("{}", curve->images), *share);
      for (const Published* value : panel.published)
        line("published: " + value->network, value->at, "", value->value);
    }
  }
  return csv;
}

}  // namespace pixeldp::report
