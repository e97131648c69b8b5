#include "pixeldp/report/figures.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "engine/error.hpp"
#include "engine/io/class_names.hpp"
#include "pixeldp/conditions.hpp"
#include "pixeldp/metrics.hpp"

namespace pixeldp::report {
namespace {

bool correct(const CertificateRecord& record) { return record.label == record.prediction; }

double largest_radius(const std::vector<Run>& runs) {
  double largest = 0.0;
  for (const Run& run : runs) {
    for (const CertificateRecord& record : run.log.records) {
      largest = std::max(largest, record.radius);
    }
  }
  return largest;
}

std::string draw_histogram(const Run& run, std::size_t index, const Bins& bins,
                           double highest_share, double width, std::string_view classes) {
  const Histogram shares = histogram(run, bins.width, bins.count);
  const double range = bins.width * static_cast<double>(bins.count);
  const bool small = width < 500;
  // The images without a certificate stand left of the axis of radii, in a place of their own.
  const double apart = small ? 46 : 64;
  Plot plot({width, small ? 170.0 : 190.0}, {.left = 44 + apart, .right = small ? 8.0 : 16.0},
            {0, range}, {0, highest_share});
  const double frame_left = 44;
  plot.text({0, 12}, "Images", "title");
  for (const double tick : round_ticks({0, highest_share}, 3)) {
    plot.line(std::vector<Point>{{frame_left, plot.y(tick)}, {plot.right(), plot.y(tick)}}, "grid");
    plot.text({frame_left - 6, plot.y(tick) + 4}, fmt::format("{:.4g}%", 100 * tick), "tick end");
  }
  plot.x_axis("Certified radius", round_ticks({0, range}, small ? 4 : 8), "{:.6g}");
  const auto bar = [&](double left, double right, const Histogram::Bar& share) {
    if (share.correct > 0) {
      plot.rectangle({left, plot.y(0)}, {right, plot.y(share.correct)}, "area " + series(index));
    }
    if (share.wrong > 0) {
      plot.rectangle({left, plot.y(share.correct)}, {right, plot.y(share.correct + share.wrong)},
                     "area wrong");
    }
  };
  const double none_left = frame_left + 8;
  const double none_right = plot.left() - 18;
  bar(none_left, none_right, shares.none);
  plot.line(std::vector<Point>{{none_left - 4, plot.bottom()}, {none_right + 4, plot.bottom()}},
            "axis");
  plot.text({(none_left + none_right) / 2, plot.bottom() + 17}, "none", "tick middle");
  for (std::size_t i = 0; i < shares.bins.size(); ++i) {
    const double low = bins.width * static_cast<double>(i);
    bar(plot.x(low) + 0.5, plot.x(low + bins.width) - 0.5, shares.bins[i]);
  }
  return plot.element(
      classes, fmt::format("Certified radii of {}", run.name),
      fmt::format("Histogram. {:.1f}% of the images are not certified; the median radius is {}.",
                  100 * abstention(run.log.records),
                  rounded(median_radius(run.log.records), true, 3)));
}

std::string draw_stability(const Stability& stability, const CertificateRecord& record,
                           const CertificateLogHeader& header, std::size_t index, double width,
                           std::string_view classes) {
  const std::string& dataset = header.dataset;
  const ScoreType scores = header.options.scores;
  const std::size_t rows = std::min(stability.labels.size(), most_labels);
  const bool small = width < 500;
  const double row_height = 24;
  std::vector<std::string> texts;
  double longest = 0.0;
  for (std::size_t i = 0; i < rows; ++i) {
    const int label = stability.labels[i].label;
    const bool right = label == record.label;
    std::string text = shortened(label_text(dataset, label), small ? 16 : 28);
    if (!small && i == 0) text += right ? " predicted, right" : " predicted, wrong";
    if (!small && i != 0 && right) text += " true label";
    if (small && right) text += " ✓";
    longest = std::max(longest, text_width(text) - (small && right ? 14.0 : 0.0));
    texts.push_back(std::move(text));
  }
  const Plot::Margins margins{.left = longest + 8, .right = small ? 12.0 : 20.0};
  Plot plot({width, margins.top + row_height * static_cast<double>(rows) + margins.bottom}, margins,
            {0, 1}, {static_cast<double>(rows), 0});
  plot.text({0, 12}, "Label", "title");
  const std::vector<double> ticks = round_ticks({0, 1}, 5);
  for (const double tick : ticks) {
    plot.line(std::vector<Point>{{plot.x(tick), plot.top()}, {plot.x(tick), plot.bottom()}},
              "grid");
  }
  plot.x_axis(fmt::format("Expected {}", score_text(scores)), ticks, "{:.0f}%", 100);

  const LabelScore& predicted = stability.labels.front();
  const auto rule = [&](double value, std::string_view rule_classes) {
    plot.line(std::vector<Point>{{plot.x(value), plot.top() - 4}, {plot.x(value), plot.bottom()}},
              rule_classes);
  };
  rule(stability.rival, "rule rest");
  rule(predicted.attacked_lower, "rule " + series(index));

  for (std::size_t i = 0; i < rows; ++i) {
    const LabelScore& score = stability.labels[i];
    const double middle = (plot.y(static_cast<double>(i)) + plot.y(static_cast<double>(i + 1))) / 2;
    const std::string colour = i == 0 ? series(index) : "rest";
    plot.rectangle({plot.x(score.attacked_lower), middle - 2},
                   {plot.x(score.attacked_upper), middle + 2}, "reach " + colour);
    plot.rectangle({plot.x(score.lower), middle - 6}, {plot.x(score.upper), middle + 6},
                   "area bound " + colour);
    plot.dot({plot.x(score.observed), middle}, 3.5, "observed");
    plot.text({plot.left() - 8, middle + 4}, texts[i], i == 0 ? "name end strong" : "name end");
  }
  return plot.element(
      classes, fmt::format("Scores of image {}", record.image),
      fmt::format(
          "Label {} has an expected score of at least {:.1f}%, and at least {:.1f}% under any "
          "attack of size {}; {} can have more than {:.1f}% under it.",
          label_text(dataset, predicted.label), 100 * predicted.lower,
          100 * predicted.attacked_lower, rounded(stability.attack, true, 3),
          header.options.top == 1 ? std::string("no other label")
                                  : fmt::format("no {} others all", header.options.top),
          100 * stability.rival));
}

/// The curves of one quantity of all runs; a long one is thinned to what the drawing can show.
std::string draw_training(const std::vector<Run>& runs, std::string_view title, bool percent,
                          std::vector<double> Training::*thick, std::vector<double> Training::*thin,
                          double width, std::string_view classes) {
  double last = 0.0;
  double highest = 0.0;
  bool any = false;
  for (const Run& run : runs) {
    if (!run.training) continue;
    for (const auto column : {thick, thin}) {
      if (column == nullptr) continue;
      const std::vector<double>& values = (*run.training).*column;
      for (std::size_t i = 0; i < values.size(); ++i) {
        if (!std::isfinite(values[i]) || !std::isfinite(run.training->step[i])) continue;
        any = true;
        last = std::max(last, run.training->step[i]);
        highest = std::max(highest, values[i]);
      }
    }
  }
  if (!any) return {};
  if (last <= 0) last = 1;
  if (highest <= 0) highest = 1;
  const bool small = width < 500;
  const double top = percent ? 1.0 : highest * 1.05;
  Plot plot({width, small ? 220.0 : 240.0}, {.right = small ? 12.0 : 20.0}, {0, last}, {0, top});
  plot.y_axis(title, round_ticks({0, top}, 4), percent ? "{:.0f}%" : "{:.6g}", percent ? 100 : 1);
  plot.x_axis("Training step", round_ticks({0, last}, small ? 3 : 6), "{:.10g}");
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (!runs[i].training) continue;
    for (const auto column : {thin, thick}) {
      if (column == nullptr) continue;
      const std::vector<double>& values = (*runs[i].training).*column;
      std::vector<Point> points;
      const std::size_t stride = 1 + values.size() / 600;
      for (std::size_t j = 0; j < values.size(); ++j) {
        const double step = runs[i].training->step[j];
        if (!std::isfinite(values[j]) || !std::isfinite(step) || step < 0) continue;
        if (j % stride != 0 && j + 1 != values.size()) continue;
        points.push_back(plot.at({step, std::clamp(values[j], 0.0, top)}));
      }
      plot.line(points, series(i) + (column == thin ? " thin" : ""));
      if (points.size() == 1) plot.dot(points.front(), 3, series(i));
    }
  }
  return plot.element(classes, fmt::format("{} by training step", title),
                      "One curve per run; the numbers are in the table below.");
}

}  // namespace

std::string series(std::size_t index) {
  return fmt::format("s{}{}", index % 6, index < 6 ? "" : fmt::format(" d{}", index / 6 % 4));
}

std::string_view score_text(ScoreType scores) {
  switch (scores) {
    case ScoreType::argmax:
      return "share of the votes";
    case ScoreType::softmax:
      return "softmax score";
  }
  fail("not a score type: {}", static_cast<int>(scores));
}

std::string norm_text(AttackNorm norm) { return fmt::format("{}-norm", name(norm)); }

Bins common_bins(const std::vector<Run>& runs) {
  const double largest = largest_radius(runs);
  if (largest == 0) return {};
  const std::vector<double> edges = round_ticks({0, largest}, 40);
  const double width = edges.size() > 1 ? edges[1] - edges[0] : largest;
  return {width, static_cast<std::size_t>(std::ceil(largest / width - 1e-9))};
}

Histogram histogram(const Run& run, double width, std::size_t bins) {
  Histogram shares;
  shares.width = width;
  shares.bins.resize(bins);
  const double one = 1.0 / static_cast<double>(run.log.records.size());
  for (const CertificateRecord& record : run.log.records) {
    Histogram::Bar* bar = &shares.none;
    if (record.radius > 0) {
      const double place = std::max(0.0, std::ceil(record.radius / width - 1e-9) - 1);
      bar = &shares.bins[std::min(static_cast<std::size_t>(place), bins - 1)];
    }
    (correct(record) ? bar->correct : bar->wrong) += one;
  }
  return shares;
}

std::string histogram_figure(const Run& run, std::size_t index, const Bins& bins,
                             double highest_share) {
  return wide_and_narrow([&](double width, std::string_view classes) {
    return draw_histogram(run, index, bins, highest_share, width, classes);
  });
}

std::string stability_figure(const Stability& stability, const CertificateRecord& record,
                             const CertificateLogHeader& header, std::size_t index) {
  return wide_and_narrow([&](double width, std::string_view classes) {
    return draw_stability(stability, record, header, index, width, classes);
  });
}

std::string loss_figure(const std::vector<Run>& runs) {
  return wide_and_narrow([&](double width, std::string_view classes) {
    return draw_training(runs, "Loss", false, &Training::loss, nullptr, width, classes);
  });
}

std::string training_accuracy_figure(const std::vector<Run>& runs) {
  return wide_and_narrow([&](double width, std::string_view classes) {
    return draw_training(runs, "Accuracy on test images, and on training images (thin)", true,
                         &Training::test_accuracy, &Training::train_accuracy, width, classes);
  });
}

}  // namespace pixeldp::report
