#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/rate.hpp"

namespace pixeldp::bench {

/// What the specification asks of a line's rate or ratio.
struct Target {
  enum class Of { rate, ratio };
  enum class Bound { at_least, at_most };
  Of of = Of::ratio;
  Bound bound = Bound::at_least;
  double value = 0.0;

  static Target ratio_at_least(double value) { return {Of::ratio, Bound::at_least, value}; }
  static Target ratio_at_most(double value) { return {Of::ratio, Bound::at_most, value}; }
  static Target rate_at_least(double value) { return {Of::rate, Bound::at_least, value}; }
};

/// One measurement, and what it was compared with in the same run.
struct Line {
  std::string what;
  Rate rate;
  std::string unit;
  std::optional<double> ratio;
  std::string to;  ///< what the ratio is to, or why there is none
  std::vector<Target> targets = {};
  std::string invalid = {};  ///< why the rate tells nothing
};

/// Prints lines as they come, or all of them as one JSON object at the end. Says first what the
/// machine is, and last how many targets were met and what failed.
class Report {
 public:
  explicit Report(bool json);
  /// Adds to what the machine is.
  void about(const std::string& name, const nlohmann::json& value, std::string_view text);
  /// What follows belongs to this part.
  void part(std::string_view name);
  void line(const Line& line);
  /// In place of lines, why there are none.
  void note(std::string_view text);
  /// In place of the line of that name, what went wrong.
  void failed(std::string_view what, std::string_view error);
  bool anything_failed() const { return failures_ > 0; }
  void finish();
  /// Writes what there is so far as one JSON object, all or nothing.
  void save(const std::filesystem::path& path) const;

 private:
  bool json_;
  std::string part_;
  int met_ = 0, failures_ = 0;
  std::vector<std::string> missed_;
  nlohmann::json report_;
};

}  // namespace pixeldp::bench
