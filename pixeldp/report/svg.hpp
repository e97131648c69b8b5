#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pixeldp::report {

/// Text with the characters that mean something in HTML, XML and their attributes replaced.
std::string escape(std::string_view text);

/// Width of a text in the 12 px sans serif of the figures, rather too large than too small.
double text_width(std::string_view text);

/// At most `length` bytes of a name, cut between characters.
std::string shortened(const std::string& name, std::size_t length);

/// Calls draw(width, classes) for both forms of a figure.
template <typename Draw>
std::string wide_and_narrow(Draw draw) {
  return draw(720.0, "wide") + draw(340.0, "narrow");
}

struct Point {
  double x = 0.0;
  double y = 0.0;
};

struct Interval {
  double low = 0.0;
  double high = 1.0;
};

/// Round numbers (1, 2 or 5 times a power of ten apart) inside the interval, about `count` of them.
std::vector<double> round_ticks(Interval interval, int count);

/// One diagram as inline SVG. Colours and fonts come from the page's style sheet through classes:
/// axis, grid, tick, title, line, area, dot, label, and s0, s1, ... for the colour of a series.
class Plot {
 public:
  struct Size {
    double width = 0.0;
    double height = 0.0;
  };
  struct Margins {
    double left = 44.0;
    double right = 16.0;
    double top = 30.0;
    double bottom = 44.0;
  };

  Plot(Size size, Margins margins, Interval x, Interval y);

  // Positions on the drawing, in its own units, of values on the axes.
  double x(double value) const;
  double y(double value) const;
  Point at(Point value) const { return {x(value.x), y(value.y)}; }
  double left() const { return margins_.left; }
  double right() const { return size_.width - margins_.right; }
  double top() const { return margins_.top; }
  double bottom() const { return size_.height - margins_.bottom; }

  // `format` is what fmt makes of a tick, for example "{:.0f}%"; `scale` multiplies it before.
  void x_axis(std::string_view title, const std::vector<double>& ticks, std::string_view format,
              double scale = 1.0);
  void y_axis(std::string_view title, const std::vector<double>& ticks, std::string_view format,
              double scale = 1.0);

  // What follows takes positions on the drawing and is drawn in the order of the calls.
  void line(std::span<const Point> points, std::string_view classes);
  void rectangle(Point corner, Point opposite, std::string_view classes);
  void dot(Point centre, double radius, std::string_view classes);
  void diamond(Point centre, double radius, std::string_view classes);
  void text(Point position, std::string_view text, std::string_view classes);

  /// The element; title and description are read out by screen readers.
  std::string element(std::string_view classes, std::string_view title,
                      std::string_view description) const;

 private:
  Size size_;
  Margins margins_;
  Interval x_;
  Interval y_;
  std::string body_;
};

/// Where labels of the given widths go so that each stands just above and to the right of its
/// falling curve and as far as possible from all other curves and labels; nothing for a label that
/// has no free place.
std::vector<std::optional<Point>> place_labels(const Plot& plot,
                                               const std::vector<std::vector<Point>>& curves,
                                               const std::vector<double>& widths, double height);

}  // namespace pixeldp::report
