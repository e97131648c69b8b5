#pragma once

#include <span>

#include <nlohmann/json.hpp>

#include "pixeldp/certificate_log.hpp"

namespace pixeldp::cli {

/// Accuracy and certified accuracy at the default thresholds, for people and as JSON.
void print_summary(const CertificateLogHeader& header, std::span<const CertificateRecord> records);
nlohmann::json summary_json(std::span<const CertificateRecord> records);

/// Says on standard error that the last line of a log was left out, where it was.
void warn_if_cut_short(const CertificateLog& log, const std::string& source);

}  // namespace pixeldp::cli
