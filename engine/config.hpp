#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pixeldp {

struct ConfigValue;

/// Numbers a setting may take, bounds included unless said otherwise; never infinite or NaN.
struct Range {
  double min = -std::numeric_limits<double>::max();
  double max = std::numeric_limits<double>::max();
  bool min_excluded = false, max_excluded = false;

  static Range at_least(double min) { return {.min = min}; }
  static Range above(double min) { return {.min = min, .min_excluded = true}; }
  static Range closed(double min, double max) { return {.min = min, .max = max}; }
  static Range open(double min, double max) { return {min, max, true, true}; }

  bool contains(double value) const;
  /// "a number above 0 and at most 1"
  std::string text() const;
};

/// "an integer from 1 to 10"; the bounds of the type are none.
std::string integer_range_text(std::int64_t min, std::int64_t max);

/// A mapping of a YAML configuration, read with types. Every mistake of the configuration's author
/// (syntax, unknown or repeated key, wrong type, value out of range) is a usage Error that names
/// file:line:column and the dotted key.
///
/// A node is a handle: copies see the same configuration. A setting read with a fallback that the
/// file lacks is added to the configuration, so that to_yaml gives the resolved configuration.
class ConfigNode {
 public:
  /// `source` names the text in errors.
  static ConfigNode parse(std::string_view text, const std::string& source);
  static ConfigNode load(const std::filesystem::path& path);

  /// Overrides a setting before it is read: "training.steps=100", where the value is YAML and a
  /// number as part of the key counts elements of a list from 0. Mappings on the way to the key
  /// are made if missing. Without a value the key is removed, and must be there.
  void set(std::string_view assignment);

  /// Whether the file (or set) gives the key; a fallback that was read does not count.
  bool given(std::string_view key) const;

  // Each of these reads one setting; without a fallback the setting must be given.

  double get_number(std::string_view key, std::optional<double> fallback = {},
                    const Range& range = {}) const;
  std::int64_t get_integer(std::string_view key, std::optional<std::int64_t> fallback = {},
                           std::int64_t min = std::numeric_limits<std::int64_t>::min(),
                           std::int64_t max = std::numeric_limits<std::int64_t>::max()) const;
  bool get_bool(std::string_view key, std::optional<bool> fallback = {}) const;
  std::string get_string(std::string_view key, std::optional<std::string> fallback = {}) const;
  std::string get_choice(std::string_view key, const std::vector<std::string>& choices,
                         std::optional<std::string> fallback = {}) const;

  /// The elements of the list under this key, whatever they are, each on one line as set() takes
  /// it; scalars without quotes.
  std::vector<std::string> get_values(std::string_view key) const;

  /// The mapping under this key; an empty one if it is not given.
  ConfigNode child(std::string_view key) const;
  /// The mappings of the list under this key; none if it is not given.
  std::vector<ConfigNode> children(std::string_view key) const;

  // These take dotted keys.

  /// Whether set() gave it.
  bool overridden(std::string_view key) const;
  /// The value on one line, fallbacks that were read included; nothing where there is none.
  std::optional<std::string> text_of(std::string_view key) const;
  /// Throws a usage Error about the first key, here or below, that is neither one of `known`,
  /// dotted from the top, nor on the way to one, and names the nearest that is. In them "*" stands
  /// for any element of a list: "changes.*.step".
  void reject_unknown(const std::vector<std::string>& known) const;

  /// Removes a key of this mapping, if it is there.
  void remove(std::string_view key);

  /// Throws a usage Error about the value of a key, for conditions between settings:
  /// "FILE:LINE:COLUMN: 'a.b': TEXT".
  [[noreturn]] void fail_at(std::string_view key, std::string_view text) const;

  std::string to_yaml() const;

 private:
  ConfigNode(std::shared_ptr<ConfigValue> value, std::string path)
      : value_(std::move(value)), path_(std::move(path)) {}

  std::string dotted(std::string_view key) const;

  std::shared_ptr<ConfigValue> value_;
  std::string path_;  ///< dotted; empty for the whole configuration
};

}  // namespace pixeldp
