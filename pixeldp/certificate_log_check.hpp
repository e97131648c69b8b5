#pragma once

#include <optional>
#include <string>

#include "pixeldp/certificate_log.hpp"

namespace pixeldp {

// What a certificate log may hold: its reader and its writer refuse the same.

/// What a log does not say.
inline constexpr const char* unrecorded = "unrecorded";

/// What is wrong with a header, or nothing.
std::optional<std::string> fault(const CertificateLogHeader& header);

/// What is wrong with a record under its header, or nothing.
std::optional<std::string> fault(const CertificateLogHeader& header,
                                 const CertificateRecord& record);

}  // namespace pixeldp
