#include "pixeldp/report/svg.hpp"

#include <cmath>

#include <doctest/doctest.h>

namespace pixeldp::report {

TEST_CASE("Ticks are round and inside the interval") {
  CHECK(round_ticks({0, 1}, 5) == std::vector<double>{0, 0.2, 0.4, 0.2 * 3, 0.8, 1});
  CHECK(round_ticks({0, 0.137}, 4) == std::vector<double>{0, 0.05, 0.1});
  CHECK(round_ticks({-3, 7}, 2) == std::vector<double>{0, 5});
  CHECK(round_ticks({2, 2}, 3) == std::vector<double>{2});
  CHECK_FALSE(std::signbit(round_ticks({0, 1}, 5)[0]));
}

TEST_CASE("Text is escaped") {
  CHECK(escape("a<b> & \"c\" 'd'") == "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;");
}

TEST_CASE("Labels stand clear of all curves") {
  const Plot plot({720, 400}, {}, {0, 1}, {0, 1});
  std::vector<std::vector<Point>> curves;
  for (const double end : {0.2, 0.5, 1.0}) {
    std::vector<Point> curve;
    for (int i = 0; i <= 20; ++i) {
      const double x = end * i / 20;
      curve.push_back(plot.at({x, (1 - end / 2) * (1 - std::pow(x / end, 2))}));
    }
    curves.push_back(curve);
  }
  const std::vector<double> widths = {80, 80, 80};
  const auto places = place_labels(plot, curves, widths, 12);
  for (std::size_t i = 0; i < places.size(); ++i) {
    REQUIRE(places[i].has_value());
    CHECK(places[i]->x + widths[i] <= plot.right());
    for (const auto& curve : curves) {
      for (const Point& point : curve) {
        const bool inside = point.x > places[i]->x && point.x < places[i]->x + widths[i] &&
                            point.y > places[i]->y - 10 && point.y < places[i]->y;
        CHECK_FALSE(inside);
      }
    }
  }
}

}  // namespace pixeldp::report
