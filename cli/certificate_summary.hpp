#pragma once

#include <span>

#include <nlohmann/json.hpp>

#include "pixeldp/certificate_log.hpp"

namespace pixeldp::cli {

/// Accuracy and certified accuracy at the default thresholds, for people and as JSON.
void print_summary(const CertificateLogHeader& header, std::span<const CertificateRecord> records);
nlohmann::json summary_json(std::span<const CertificateRecord> records);

}  // namespace pixeldp::cli
