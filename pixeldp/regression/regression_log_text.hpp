#pragma once

#include <string>

#include "pixeldp/regression/regression_log.hpp"

namespace pixeldp {

// The lines of the log of a regression network, which its reader and its writer share.

/// The first line, without its end.
std::string header_text(const RegressionLogHeader& header);

/// A record's line, without its chain and end.
std::string line_text(const RegressionRecord& record);

/// What is wrong with a record's integers, or empty.
std::string fault(const RegressionLogHeader& header, const RegressionRecord& record);

}  // namespace pixeldp
