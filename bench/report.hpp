#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

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
  double rate = 0.0;
  std::string unit;
  double ratio = 0.0;
  std::string to;  ///< what the ratio is to
  std::vector<Target> targets = {};
};

/// Prints lines as they come, or all of them as one JSON object at the end. Says first what the
/// machine is, and last how many targets were met.
class Report {
 public:
  explicit Report(bool json);
  /// What follows belongs to this part.
  void part(std::string_view name);
  void line(const Line& line);
  /// In place of lines, why there are none.
  void note(std::string_view text);
  void finish();

 private:
  bool json_;
  std::string part_;
  int met_ = 0;
  std::vector<std::string> missed_;
  nlohmann::json report_;
};

}  // namespace pixeldp::bench
