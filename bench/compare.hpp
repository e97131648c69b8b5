#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/rate.hpp"

namespace pixeldp::bench {

enum class Change { faster, slower, same, ambiguous };

/// Rates that differ by less count as the same.
inline constexpr double tolerated_change = 0.03;

/// What became of a rate, as far as the quartiles of both measurements tell: faster where the worst
/// case is an increase by more than is tolerated, slower where the best case is such a decrease,
/// the same where neither can be, ambiguous otherwise.
Change change_of(const Rate& before, const Rate& after);

/// "FASTER", "SLOWER", "SAME", "AMBIGUOUS"
const char* name(Change change);

/// A line that both reports have.
struct ComparedLine {
  std::string part, what, unit;
  double before = 0.0, after = 0.0;
  Change change = Change::ambiguous;
  std::string why = {};  ///< it is ambiguous, where that is not for its spread
};

struct Comparison {
  std::vector<ComparedLine> lines = {};
  std::vector<std::string> only_before = {}, only_after = {};
  std::vector<std::string> failed = {};  ///< lines that failed in the new report

  bool slower() const;
};

/// The lines of two reports that bench printed as JSON, by part, name and unit. Lines that repeat
/// a measurement for another ratio count once. Throws an Error for what bench never printed.
Comparison compare(const nlohmann::json& before, const nlohmann::json& after);

/// Prints what `bench compare` says of two files, as a table or as one JSON object. Returns its
/// exit status: 1 where a line is slower, or failed in the new report. Throws an Error for files
/// that are no reports.
int compare_files(const std::string& before, const std::string& after, bool json);

}  // namespace pixeldp::bench
