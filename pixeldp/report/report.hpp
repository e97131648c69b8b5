#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pixeldp/report/run.hpp"

namespace pixeldp::report {

/// The thresholds of the tables: the default ones as far as any run certifies anything, and the
/// construction bounds of the runs.
std::vector<double> table_thresholds(const std::vector<Run>& runs);

/// The report of at least one run: one HTML page that needs no other file. The same runs give the
/// same page to the byte. `image` chooses the image whose scores are shown; without it, the
/// one of median radius among those that are right and certified. `csv` names the file of
/// report_csv, which the page links to; `comparisons` is HTML that goes before all figures. Throws
/// a usage error when no run holds the image.
std::string report_page(const std::vector<Run>& runs,
                        std::optional<std::int64_t> image = std::nullopt, std::string_view csv = "",
                        std::string_view comparisons = "");

/// A page of nothing but comparisons.
std::string comparison_page(std::string_view comparisons);

/// Accuracy, certified accuracy, certified fraction and precision of each run by each certificate
/// (all_certificates) at 0 and at every radius of its images, where the curves step, as CSV with a
/// first line of names. The precision is empty where nothing is certified.
std::string report_csv(const std::vector<Run>& runs);

/// The style sheet of the page.
std::string_view style_sheet();

}  // namespace pixeldp::report
