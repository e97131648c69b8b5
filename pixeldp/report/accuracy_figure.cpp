#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "engine/error.hpp"
#include "pixeldp/conditions.hpp"
#include "pixeldp/metrics.hpp"
#include "pixeldp/recertification.hpp"
#include "pixeldp/report/figures.hpp"
#include "pixeldp/report/tables.hpp"

namespace pixeldp::report {
namespace {

/// One step curve, or the mark of a run without noise.
struct Curve {
  std::vector<Point> points;  ///< on the drawing
  std::string name;
  std::string classes;
  bool noise = true;
};

double largest_radius(const std::vector<Run>& runs) {
  double largest = 0.0;
  for (const Run& run : runs) {
    for (const CertificateLog* log : all_certificates(run)) {
      for (const CertificateRecord& record : log->records)
        largest = std::max(largest, record.radius);
    }
  }
  return largest;
}

/// The steps of a log's curve. Steps that fall on the same tenth of a unit are drawn as one.
std::vector<Point> steps(const Plot& plot, const std::vector<CertificateRecord>& records) {
  const double n = static_cast<double>(records.size());
  // At T = 0 an image need not be certified; right of it, it must.
  std::vector<Point> points = {plot.at({0, accuracy(records)})};
  const std::vector<CurvePoint> curve = certified_curve(records);
  for (std::size_t i = 0; i < curve.size(); ++i) {
    const double x = std::round(plot.x(curve[i].threshold) * 10) / 10;
    // Just beyond this threshold the images of this very radius are gone.
    const std::size_t beyond = i == 0                 ? curve[0].correct
                               : i + 1 < curve.size() ? curve[i + 1].correct
                                                      : 0;
    const double height = plot.y(static_cast<double>(beyond) / n);
    if (points.size() >= 2 && points.back().x == x) {
      points.back().y = height;
      continue;
    }
    points.push_back({x, points.back().y});
    points.push_back({x, height});
  }
  return points;
}

std::string draw(const std::vector<Run>& runs, double width, std::string_view classes) {
  double range = largest_radius(runs) * 1.04;
  if (range == 0) range = 1;
  const bool small = width < 500;
  Plot plot({width, small ? 300.0 : 400.0}, {.right = small ? 8.0 : 16.0}, {0, range}, {0, 1});
  plot.y_axis(
      fmt::format("Certified {}accuracy: images right and certified at T", top_prefix(runs)),
      round_ticks({0, 1}, 5), "{:.0f}%", 100);
  plot.x_axis("Threshold T (attack size; a pixel spans 1)", round_ticks({0, range}, small ? 4 : 8),
              "{:.6g}");
  std::string description = "Step curves that fall from left to right.";
  std::vector<Curve> curves;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const std::string name = shortened(runs[i].name, small ? 18 : 32);
    const double at_zero = accuracy(runs[i].log.records);
    description += fmt::format(" {}: {:.1f}% at T = 0", runs[i].name, 100 * at_zero);
    if (!has_noise(runs[i])) {
      description += ", without noise.";
      curves.push_back({{plot.at({0, at_zero})}, name, series(i), false});
      continue;
    }
    for (const CertificateLog* log : all_certificates(runs[i])) {
      const CertificateKind kind = log->header.options.kind;
      description +=
          fmt::format(", median radius {} by {}", rounded(median_radius(log->records), true, 3),
                      pixeldp::name(kind));
      const double most =
          largest_possible_radius(log->header, log->records.front().statistics.classes());
      if (most <= range) {
        plot.line(std::vector<Point>{{plot.x(most), plot.bottom() - 5},
                                     {plot.x(most), plot.bottom() + 5}},
                  "most " + series(i));
      }
      curves.push_back(
          {steps(plot, log->records), name, fmt::format("{} {}", series(i), dashes(kind)), true});
      if (kind != CertificateKind::exact)
        curves.back().name += fmt::format(", {}", pixeldp::name(kind));
    }
    description += ".";
  }
  std::vector<std::vector<Point>> points;
  std::vector<double> widths;
  for (const Curve& curve : curves) {
    points.push_back(curve.points);
    widths.push_back(text_width(curve.name));
  }
  const auto places = place_labels(plot, points, widths, 12);
  for (const Curve& curve : curves) {
    if (!curve.noise) continue;
    plot.line(curve.points, curve.classes);
    plot.dot(curve.points.front(), 3, curve.classes);
  }
  for (std::size_t i = 0; i < curves.size(); ++i) {
    if (!curves[i].noise) plot.diamond(curves[i].points.front(), 6, curves[i].classes);
    if (places[i]) plot.text(*places[i], curves[i].name, "label " + curves[i].classes);
  }
  return plot.element(classes, "Certified accuracy against the threshold", description);
}

}  // namespace

std::string_view dashes(CertificateKind kind) {
  switch (kind) {
    case CertificateKind::exact:
      return "";
    case CertificateKind::pixeldp:
      return "paper";
    case CertificateKind::pixeldp_grid:
      return "grid-search";
    case CertificateKind::cdf:
      return "distribution";
  }
  fail("not a certificate: {}", static_cast<int>(kind));
}

std::string certified_accuracy_figure(const std::vector<Run>& runs) {
  return wide_and_narrow(
      [&](double width, std::string_view classes) { return draw(runs, width, classes); });
}

}  // namespace pixeldp::report
