#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "bench/network.hpp"
#include "bench/timing.hpp"

namespace pixeldp::bench {
namespace {

constexpr std::int64_t plateau_rows = 64;  // by which the curve is to have risen

struct Point {
  std::int64_t images, draws;
  std::int64_t rows() const { return images * draws; }
};

/// Points in ascending order of rows.
void measure(const Options& options, Draws& draws, kernels::Precision precision,
             const std::vector<Point>& points, Report& report) {
  std::vector<Turns::Thing> things;
  for (const Point& p : points) {
    things.push_back([&] {
      const std::int64_t times = std::max<std::int64_t>(1, 512 / p.rows());
      double total = 0.0;
      for (std::int64_t i = 0; i < times; ++i) total += draws(p.images, p.draws);
      return total / static_cast<double>(times);
    });
  }
  const Turns turns(options.repetitions, things);
  const std::size_t last = points.size() - 1;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const Point& p = points[i];
    const std::string what =
        fmt::format("MNIST CNN, {}, {} draw{} of {} image{}", name(precision), p.draws,
                    p.draws == 1 ? "" : "s", p.images, p.images == 1 ? "" : "s");
    if (i == 0) {
      report.line({what, turns.rate(i), "draws/s", turns.speedup(i, last), "the last of these"});
      continue;
    }
    // No point may be slower than one with fewer rows, give or take what a stopwatch does.
    double to_fastest = INFINITY;
    for (std::size_t before = 0; before < i; ++before)
      to_fastest = std::min(to_fastest, turns.speedup(i, before));
    report.line({what,
                 turns.rate(i),
                 "draws/s",
                 to_fastest,
                 "the fastest before",
                 {Target::ratio_at_least(0.95)}});
    if (p.rows() == plateau_rows)
      report.line({what,
                   turns.rate(i),
                   "draws/s",
                   turns.speedup(i, last),
                   "the last of these",
                   {Target::ratio_at_least(0.9)}});
  }
}

}  // namespace

void curve(const Options& options, Report& report) {
  const layers::Network net = noisy_network(mnist_cnn_spec());
  const auto precision = kernels::inference_obstacle(kernels::Precision::bf16).empty()
                             ? kernels::Precision::bf16
                             : kernels::Precision::fp32;
  Draws draws(net, precision);
  measure(options, draws, precision, {{1, 1}, {1, 10}, {1, 64}, {1, 100}, {1, 1000}, {1, 10000}},
          report);
  measure(options, draws, precision,
          {{1, 16}, {2, 16}, {4, 16}, {8, 16}, {16, 16}, {32, 16}, {64, 16}}, report);
}

}  // namespace pixeldp::bench
