#include "pixeldp/metrics.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

#include "engine/error.hpp"

namespace pixeldp {
namespace {

using Records = std::span<const CertificateRecord>;

bool correct(const CertificateRecord& record) { return record.prediction == record.label; }

/// Radius 0 is no certificate, not even at threshold 0.
bool reaches(const CertificateRecord& record, double threshold) {
  return record.radius > 0.0 && record.radius >= threshold;
}

std::uint64_t all_draws(const CertificateRecord& record) {
  return record.statistics.draws + record.selection_draws;
}

void check_any(Records records) {
  if (records.empty()) fail("there are no certificates to take a metric of");
}

double share(std::size_t part, Records records) {
  check_any(records);
  return static_cast<double>(part) / static_cast<double>(records.size());
}

std::size_t correct_and_certified(Records records, double threshold) {
  return static_cast<std::size_t>(std::ranges::count_if(
      records, [&](const auto& record) { return correct(record) && reaches(record, threshold); }));
}

std::size_t certified(Records records, double threshold) {
  return static_cast<std::size_t>(std::ranges::count_if(
      records, [&](const auto& record) { return reaches(record, threshold); }));
}

}  // namespace

double accuracy(Records records) {
  return share(static_cast<std::size_t>(std::ranges::count_if(records, correct)), records);
}

double certified_accuracy(Records records, double threshold) {
  return share(correct_and_certified(records, threshold), records);
}

double certified_fraction(Records records, double threshold) {
  return share(certified(records, threshold), records);
}

std::optional<double> certified_precision(Records records, double threshold) {
  check_any(records);
  const std::size_t total = certified(records, threshold);
  if (total == 0) return std::nullopt;
  return static_cast<double>(correct_and_certified(records, threshold)) /
         static_cast<double>(total);
}

std::vector<CurvePoint> certified_curve(Records records) {
  check_any(records);
  std::vector<std::pair<double, bool>> falling;  // radii, with whether the label is right
  for (const CertificateRecord& record : records)
    if (record.radius > 0.0) falling.emplace_back(record.radius, correct(record));
  std::ranges::sort(falling, std::greater{});
  std::vector<CurvePoint> points;
  std::size_t right = 0;
  for (std::size_t i = 0; i < falling.size(); ++i) {
    right += falling[i].second ? 1 : 0;
    if (i + 1 < falling.size() && falling[i + 1].first == falling[i].first) continue;
    points.push_back({falling[i].first, i + 1, right});
  }
  points.push_back({0.0, falling.size(), right});
  std::ranges::reverse(points);
  return points;
}

ShareInterval interval_over_images(double share, std::size_t images, double confidence) {
  if (images == 0) fail("there are no images to take an interval over");
  if (!(confidence > 0 && confidence < 1))
    fail_usage("confidence must lie in (0, 1), but is {}", confidence);
  const auto successes =
      static_cast<std::uint64_t>(std::llround(share * static_cast<double>(images)));
  const double failure = (1 - confidence) / 2;
  return {clopper_pearson_lower(successes, images, failure),
          clopper_pearson_upper(successes, images, failure)};
}

double abstention(Records records) {
  return share(
      static_cast<std::size_t>(std::ranges::count(records, 0.0, &CertificateRecord::radius)),
      records);
}

double mean_radius(Records records) {
  check_any(records);
  double sum = 0.0;
  for (const CertificateRecord& record : records) sum += correct(record) ? record.radius : 0.0;
  return sum / static_cast<double>(records.size());
}

double median_radius(Records records) {
  check_any(records);
  std::vector<double> radii;
  radii.reserve(records.size());
  for (const CertificateRecord& record : records) {
    radii.push_back(correct(record) ? record.radius : 0.0);
  }
  const auto middle = radii.begin() + static_cast<std::ptrdiff_t>((radii.size() - 1) / 2);
  std::ranges::nth_element(radii, middle, std::greater{});
  return *middle;
}

double mean_draws(Records records) {
  check_any(records);
  double sum = 0.0;
  for (const CertificateRecord& record : records) sum += static_cast<double>(all_draws(record));
  return sum / static_cast<double>(records.size());
}

std::uint64_t median_draws(Records records) {
  check_any(records);
  std::vector<std::uint64_t> draws;
  for (const CertificateRecord& record : records) draws.push_back(all_draws(record));
  const auto middle = draws.begin() + static_cast<std::ptrdiff_t>((draws.size() - 1) / 2);
  std::ranges::nth_element(draws, middle);
  return *middle;
}

double certified_accuracy_of_set(Records records, double threshold, double alpha, double rho) {
  if (!(alpha > 0 && alpha <= 0.5)) fail_usage("alpha must lie in (0, 1/2], but is {}", alpha);
  if (!(rho > 0 && rho < 1)) fail_usage("rho must lie in (0, 1), but is {}", rho);
  const double claimed = certified_accuracy(records, threshold);
  const double n = static_cast<double>(records.size());
  const double surprise = std::log(1 / rho) / n;
  const double failed = alpha + std::sqrt(2 * alpha * (1 - alpha) * surprise) + surprise / 3;
  return std::max(0.0, claimed - failed);
}

const std::vector<double>& default_thresholds() {
  static const std::vector<double> thresholds = {0.0, 0.05, 0.1, 0.15, 0.2, 0.25,
                                                 0.3, 0.4,  0.5, 0.75, 1.0};
  return thresholds;
}

}  // namespace pixeldp
