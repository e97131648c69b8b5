#pragma once

#include <string>
#include <string_view>

namespace pixeldp::report {

/// A text as a cell of CSV, in quotes where it needs them.
std::string csv_cell(std::string_view text);

}  // namespace pixeldp::report
