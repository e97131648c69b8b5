#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pixeldp/report/run.hpp"

namespace pixeldp::report {

/// "61.2%", and a dash for what does not exist.
std::string percent(double share);
std::string percent(std::optional<double> share);

/// "88.24%".
std::string hundredths(double share);

/// "(86.0 to 90.1%)": the interval of a share of so many images, with 95 % confidence.
std::string interval_text(double share, std::size_t images);

/// Whether all runs were certified on the same split of the same data, and on the same images of
/// it.
bool same_data(const std::vector<Run>& runs);
bool same_images(const std::vector<Run>& runs);

/// "top-3 " where the certificates of all runs with noise are of the same number of first labels,
/// and more than one; else nothing.
std::string top_prefix(const std::vector<Run>& runs);

/// A table under its caption; a wide one scrolls by itself and leaves the page in place.
std::string table(std::string_view caption, std::string_view classes, std::string_view content);

/// Accuracy, certified accuracy at thresholds and radii, a column per run.
std::string results_table(const std::vector<Run>& runs, const std::vector<double>& thresholds);

/// To be folded out: certified accuracy by each certificate, and certified fraction and precision,
/// at thresholds.
std::string details_tables(const std::vector<Run>& runs, const std::vector<double>& thresholds);

/// All that the certificates depend on, and the runs' configurations.
std::string conditions_section(const std::vector<Run>& runs);

}  // namespace pixeldp::report
