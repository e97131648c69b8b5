#include "pixeldp/recertification.hpp"

#include <optional>
#include <utility>
#include <vector>

#include "engine/error.hpp"
#include "pixeldp/certificate_log_check.hpp"

namespace pixeldp {

Certificate certify(const CertificateLogHeader& header, const CertificateRecord& record) {
  if (header.calibration.mechanism == Mechanism::none)
    return {.prediction = record.statistics.top_label(header.options.scores)};
  const auto selected =
      record.selection_draws > 0 ? std::optional<int>(record.prediction) : std::nullopt;
  return certify(record.statistics, header.calibration, header.options, selected);
}

CertificateLog recertified(CertificateLog log, const CertificateOptions& options) {
  if (!log.header.statistics.hold(options.scores))
    fail("the log holds no {} scores, so there can be no certificates of them",
         name(options.scores));
  if (const auto text = fault(log.header.statistics, options)) fail("{}", *text);
  if (const auto text = fault(log.header.stopping, options)) fail("{}", *text);
  log.header.options = options;
  if (const auto text = fault_of_top(log.header)) fail("{}", *text);
  for (CertificateRecord& record : log.records) {
    const Certificate certificate = certify(log.header, record);
    record.prediction = certificate.prediction;
    record.radius = certificate.radius;
  }
  return log;
}

std::vector<CertificateRecord> records_of_labels(const CertificateLogHeader& header,
                                                 std::vector<CertificateRecord> records) {
  const CertificateOptions& options = header.options;
  if (options.top == 1 || header.calibration.mechanism == Mechanism::none) return records;
  for (CertificateRecord& record : records) {
    if (record.label < 0 || record.statistics.rank(options.scores, record.label) > options.top)
      continue;
    record.prediction = record.label;
    record.radius = certify(record.statistics, header.calibration, options, record.label).radius;
  }
  return records;
}

CertificateLog with_sensitivity(CertificateLog log, double sensitivity) {
  log.header.calibration.sensitivity = sensitivity;
  const CertificateOptions options = log.header.options;
  return recertified(std::move(log), options);
}

double largest_possible_radius(const CertificateLogHeader& header, int classes) {
  if (header.calibration.mechanism == Mechanism::none) return 0.0;
  const bool fixed = header.selection_draws > 0 || header.options.top > 1;
  return best_certificate(header.draws, classes, header.calibration, header.options,
                          selection_of(fixed))
      .radius;
}

void derive_radii(CertificateLog& log, std::string_view source) {
  const CertificateOptions& options = log.header.options;
  for (std::size_t i = 0; i < log.records.size(); ++i) {
    CertificateRecord& record = log.records[i];
    const double proved = certify(log.header, record).radius;
    if (record.radius > proved * (1.0 + 1e-12)) {
      // The header is the first line, and every record one more.
      fail(
          "{}:{}: image {}: the radius is {}, but its counts prove only {} ({}, {}, alpha {}, "
          "sensitivity {}): the line or the header was changed after certifying; certify the image "
          "anew",
          source, i + 2, record.image, record.radius, format_radius_down(proved),
          name(options.kind), name(options.bound), options.alpha,
          log.header.calibration.sensitivity);
    }
    record.radius = proved;
  }
}

}  // namespace pixeldp
