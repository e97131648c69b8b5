#include "pixeldp/metrics.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

#include "engine/error.hpp"

namespace pixeldp {
namespace {

using Records = std::span<const CertificateRecord>;

bool correct(const CertificateRecord& record) { return record.prediction == record.label; }

void check_any(Records records) {
  if (records.empty()) fail("there are no certificates to take a metric of");
}

double share(std::size_t part, Records records) {
  check_any(records);
  return static_cast<double>(part) / static_cast<double>(records.size());
}

std::size_t correct_and_certified(Records records, double threshold) {
  return static_cast<std::size_t>(std::ranges::count_if(
      records, [&](const auto& record) { return correct(record) && record.radius >= threshold; }));
}

std::size_t certified(Records records, double threshold) {
  return static_cast<std::size_t>(std::ranges::count_if(
      records, [&](const auto& record) { return record.radius >= threshold; }));
}

}  // namespace

double accuracy(Records records) { return certified_accuracy(records, 0.0); }

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
