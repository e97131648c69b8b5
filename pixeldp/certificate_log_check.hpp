#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pixeldp/certificate_log.hpp"

namespace pixeldp {

// What a certificate log may hold: its reader and its writer refuse the same.

/// What a log does not say.
inline constexpr const char* unrecorded = "unrecorded";

/// What lines may hold.
inline constexpr KeptStatistics all_kept_statistics[] = {
    {true, true}, {true, false}, {false, true}, {true, true, true}};

/// As the header says it: "votes"; "sums", "squares"; all three; or these and "histogram".
std::vector<std::string> names_of(const KeptStatistics& kept);

/// What is wrong with a header, or nothing.
std::optional<std::string> fault(const CertificateLogHeader& header);

/// Why counts whose draws such a rule ended have no such bounds, or nothing.
std::optional<std::string> fault(const Stopping& stopping, const CertificateOptions& options);

/// Why counts from such a source say nothing of the K first labels, or nothing.
std::optional<std::string> fault_of_top(const CertificateLogHeader& header);

/// Why the lines hold too little for such certificates, or nothing.
std::optional<std::string> fault(const KeptStatistics& kept, const CertificateOptions& options);

/// What is wrong with a record under its header, or nothing.
std::optional<std::string> fault(const CertificateLogHeader& header,
                                 const CertificateRecord& record);

}  // namespace pixeldp
