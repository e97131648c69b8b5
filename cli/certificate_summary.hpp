#pragma once

#include <span>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "pixeldp/certificate_log.hpp"

namespace pixeldp::cli {

/// The default thresholds, and up to the radius that images stop at, where they do, with it.
std::vector<double> thresholds_for(const CertificateLogHeader& header);

/// What the figures depend on, of records_of_labels, accuracy with its interval over the images,
/// and certified accuracy at these thresholds, for people and as JSON.
void print_summary(const CertificateLogHeader& header, std::span<const CertificateRecord> records);
nlohmann::ordered_json summary_json(const CertificateLogHeader& header,
                                    std::span<const CertificateRecord> records,
                                    const std::vector<double>& thresholds);

/// What certificates of noise in floats are charged, if anything, and some advice.
void print_charges(const Calibration& calibration, std::string_view advice);

/// Alpha, draws, bound, certificate, scores and precision, and the noise that they are about.
nlohmann::ordered_json conditions_json(const CertificateLogHeader& header);

/// Says on standard error that this line, the last one, was left out.
void warn_of_cut_line(std::size_t line, const std::string& source);
/// The same of a log of either kind, where it was.
template <class Log>
void warn_if_cut_short(const Log& log, const std::string& source) {
  if (log.cut_short) warn_of_cut_line(log.records.size() + 2, source);
}

}  // namespace pixeldp::cli
