#include "cli/certificate_summary.hpp"

#include <fmt/format.h>

#include "pixeldp/metrics.hpp"

namespace pixeldp::cli {

void print_summary(const CertificateLogHeader& header, std::span<const CertificateRecord> records) {
  fmt::print("images            {} ({} of {})\n", records.size(), header.split, header.dataset);
  fmt::print("accuracy          {:.2f} %\n", 100.0 * accuracy(records));
  if (header.calibration.mechanism == Mechanism::none) {
    fmt::print("The model has no noise: nothing is certified, every radius is 0.\n");
    return;
  }
  fmt::print("\nthreshold   certified accuracy   precision   certified fraction\n");
  for (const double threshold : default_thresholds()) {
    const auto precision = certified_precision(records, threshold);
    fmt::print("{:9.3f} {:18.2f} % {:>11} {:18.2f} %\n", threshold,
               100.0 * certified_accuracy(records, threshold),
               precision ? fmt::format("{:.2f} %", 100.0 * *precision) : "-",
               100.0 * certified_fraction(records, threshold));
  }
}

nlohmann::json summary_json(std::span<const CertificateRecord> records) {
  nlohmann::json curve = nlohmann::json::array();
  for (const double threshold : default_thresholds()) {
    curve.push_back({{"threshold", threshold},
                     {"certified_accuracy", certified_accuracy(records, threshold)},
                     {"certified_fraction", certified_fraction(records, threshold)}});
  }
  return {{"images", records.size()},
          {"accuracy", accuracy(records)},
          {"certified", curve},
          {"mean_radius", mean_radius(records)}};
}

void warn_if_cut_short(const CertificateLog& log, const std::string& source) {
  if (!log.cut_short) return;
  fmt::print(stderr,
             "pixeldp: {}:{}: the last line is cut short and was left out; 'pixeldp certify "
             "--resume' makes its image anew\n",
             source, log.records.size() + 2);
}

}  // namespace pixeldp::cli
