#include "pixeldp/report/svg.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace pixeldp::report {
namespace {

struct Box {
  Point low;
  Point high;
};

/// Distance of a point from a box; 0 inside.
double distance(Point point, const Box& box) {
  const double dx = std::max({box.low.x - point.x, 0.0, point.x - box.high.x});
  const double dy = std::max({box.low.y - point.y, 0.0, point.y - box.high.y});
  return std::hypot(dx, dy);
}

/// The curve with a point at least every few units, so that distances to its points are distances
/// to the curve.
std::vector<Point> dense(const std::vector<Point>& curve) {
  std::vector<Point> points;
  for (std::size_t i = 0; i + 1 < curve.size(); ++i) {
    const Point step{curve[i + 1].x - curve[i].x, curve[i + 1].y - curve[i].y};
    const int pieces = 1 + static_cast<int>(std::hypot(step.x, step.y) / 4);
    for (int j = 0; j < pieces; ++j) {
      const double share = static_cast<double>(j) / pieces;
      points.push_back({curve[i].x + share * step.x, curve[i].y + share * step.y});
    }
  }
  if (!curve.empty()) points.push_back(curve.back());
  return points;
}

std::string tick_text(double tick, std::string_view format, double scale) {
  // "-0" and 0.30000000000000004 are not what a reader wants to see.
  const double value = std::round(tick * scale * 1e9) / 1e9 + 0.0;
  return fmt::format(fmt::runtime(format), value);
}

}  // namespace

std::string escape(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

double text_width(std::string_view text) { return 7.0 * static_cast<double>(text.size()); }

std::string shortened(const std::string& name, std::size_t length) {
  if (name.size() <= length) return name;
  std::size_t end = length - 3;
  while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xC0) == 0x80) --end;
  return name.substr(0, end) + "…";
}

std::vector<double> round_ticks(Interval interval, int count) {
  const double width = interval.high - interval.low;
  if (!(width > 0) || !std::isfinite(width) || count < 1) return {interval.low};
  const double rough = width / count;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough * (1 - 1e-9)) {
      step = factor * power;
      break;
    }
  }
  std::vector<double> ticks;
  const double first = std::ceil(interval.low / step - 1e-9);
  const double last = std::floor(interval.high / step + 1e-9);
  for (double i = first; i <= last; i += 1) ticks.push_back(i * step + 0.0);  // + 0.0: no "-0"
  return ticks;
}

Plot::Plot(Size size, Margins margins, Interval x, Interval y)
    : size_(size), margins_(margins), x_(x), y_(y) {}

double Plot::x(double value) const {
  return left() + (value - x_.low) / (x_.high - x_.low) * (right() - left());
}

double Plot::y(double value) const {
  return bottom() - (value - y_.low) / (y_.high - y_.low) * (bottom() - top());
}

void Plot::x_axis(std::string_view title, const std::vector<double>& ticks, std::string_view format,
                  double scale) {
  body_ += fmt::format(
      "<path class=\"axis\" d=\"M{:.1f} {:.1f}H{:.1f}\"/>"
      "<text class=\"title middle\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n",
      left(), bottom(), right(), (left() + right()) / 2, size_.height - 6, escape(title));
  for (const double tick : ticks) {
    body_ += fmt::format(
        "<path class=\"axis\" d=\"M{0:.1f} {1:.1f}v4\"/>"
        "<text class=\"tick middle\" x=\"{0:.1f}\" y=\"{2:.1f}\">{3}</text>\n",
        x(tick), bottom(), bottom() + 17, escape(tick_text(tick, format, scale)));
  }
}

void Plot::y_axis(std::string_view title, const std::vector<double>& ticks, std::string_view format,
                  double scale) {
  // The title lies flat above the axis, where it is read without turning the head.
  body_ += fmt::format("<text class=\"title\" x=\"0\" y=\"12\">{}</text>\n", escape(title));
  for (const double tick : ticks) {
    body_ += fmt::format(
        "<path class=\"grid\" d=\"M{:.1f} {:.1f}H{:.1f}\"/>"
        "<text class=\"tick end\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n",
        left(), y(tick), right(), left() - 6, y(tick) + 4, escape(tick_text(tick, format, scale)));
  }
}

void Plot::line(std::span<const Point> points, std::string_view classes) {
  if (points.empty()) return;
  body_ += fmt::format("<path class=\"line {}\" d=\"", classes);
  char command = 'M';
  for (const Point& point : points) {
    body_ += fmt::format("{}{:.1f} {:.1f}", command, point.x, point.y);
    command = 'L';
  }
  body_ += "\"/>\n";
}

void Plot::rectangle(Point corner, Point opposite, std::string_view classes) {
  body_ += fmt::format(
      "<rect class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"/>\n",
      classes, std::min(corner.x, opposite.x), std::min(corner.y, opposite.y),
      std::abs(opposite.x - corner.x), std::abs(opposite.y - corner.y));
}

void Plot::dot(Point centre, double radius, std::string_view classes) {
  body_ += fmt::format("<circle class=\"dot {}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{:.1f}\"/>\n",
                       classes, centre.x, centre.y, radius);
}

void Plot::diamond(Point centre, double radius, std::string_view classes) {
  body_ += fmt::format(
      "<path class=\"dot {0}\" d=\"M{1:.1f} {2:.1f}l{3:.1f} {3:.1f}l{4:.1f} "
      "{3:.1f}l{4:.1f} {4:.1f}z\"/>\n",
      classes, centre.x, centre.y - radius, radius, -radius);
}

void Plot::text(Point position, std::string_view text, std::string_view classes) {
  body_ += fmt::format("<text class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n", classes,
                       position.x, position.y, escape(text));
}

std::string Plot::element(std::string_view classes, std::string_view title,
                          std::string_view description) const {
  return fmt::format(
      "<svg class=\"{}\" role=\"img\" viewBox=\"0 0 {:.0f} {:.0f}\">"
      "<title>{}</title><desc>{}</desc>\n{}</svg>\n",
      classes, size_.width, size_.height, escape(title), escape(description), body_);
}

std::vector<std::optional<Point>> place_labels(const Plot& plot,
                                               const std::vector<std::vector<Point>>& curves,
                                               const std::vector<double>& widths, double height) {
  constexpr double gap = 6.0;     // from its own curve
  constexpr double free = 5.0;    // from everything else, at the least
  constexpr double ample = 40.0;  // beyond this, more distance is no better
  std::vector<std::vector<Point>> points;
  for (const auto& curve : curves) points.push_back(dense(curve));
  std::vector<Box> taken;
  std::vector<std::optional<Point>> places(curves.size());
  for (std::size_t i = 0; i < curves.size(); ++i) {
    double best = free;
    Box chosen;
    for (const Point& anchor : points[i]) {
      const Box box{{anchor.x + gap, anchor.y - gap - height},
                    {anchor.x + gap + widths[i], anchor.y - gap}};
      if (box.high.x > plot.right() || box.low.y < plot.top()) continue;
      double room = ample;
      for (std::size_t j = 0; j < curves.size(); ++j) {
        for (const Point& point : points[j]) {
          // Of the curve's own points only those inside the label matter.
          const double clear = distance(point, box);
          if (j != i)
            room = std::min(room, clear);
          else if (clear < gap - 1)
            room = 0;
        }
      }
      for (const Box& other : taken) {
        const double dx = std::max({0.0, other.low.x - box.high.x, box.low.x - other.high.x});
        const double dy = std::max({0.0, other.low.y - box.high.y, box.low.y - other.high.y});
        room = std::min(room, std::hypot(dx, dy));
      }
      if (room > best) {
        best = room;
        chosen = box;
        places[i] = Point{box.low.x, box.high.y - 3};
      }
    }
    if (places[i]) taken.push_back(chosen);
  }
  return places;
}

}  // namespace pixeldp::report
