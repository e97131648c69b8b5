#pragma once

#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/config.hpp"

namespace pixeldp {

/// One key of a configuration: what it may be and what it means. Readers read by these
/// declarations and help prints them, so that the two cannot differ.
struct Setting {
  // Its type, with what it may be and its default. One without a default must be given, or follows
  // from others as `otherwise` says.
  struct Number {
    Range range{};
    std::optional<double> fallback{};
  };
  struct Integer {
    std::int64_t min = 0, max = std::numeric_limits<std::int64_t>::max();
    std::optional<std::int64_t> fallback{};
  };
  struct Flag {
    bool fallback = false;
  };
  struct Text {};
  struct Choice {
    std::vector<std::string> choices;
    std::optional<std::string> fallback{};
  };
  /// Of mappings, whose own settings are declared as "key.*.name"; none by default.
  struct List {};

  /// A setting that is taken only where another one, a choice, has one of these values.
  struct Condition {
    std::string key;
    std::vector<std::string> values;
  };

  std::string key;  ///< dotted
  std::variant<Number, Integer, Flag, Text, Choice, List> type;
  std::string meaning;
  std::string otherwise{};  ///< what holds where it is not given and has no default
  std::optional<Condition> taken{};
  /// Whether a run may be resumed with another value.
  bool changeable = false;

  /// "an integer from 1 to 10", "one of a, b".
  std::string range_text() const;
  /// "0.9" or what `otherwise` says; empty: it must be given.
  std::string default_text() const;
  /// Whether two texts of a value (ConfigNode::text_of) say the same: 0.1 and 0.10 are one number.
  bool same(std::string_view a, std::string_view b) const;
};

/// A configuration, read by its declarations. A key may be declared several times, for conditions
/// that exclude each other; the one that holds is meant.
class Settings {
 public:
  /// Throws a usage Error about the first unknown key, then about wrong values of settings that
  /// others depend on, then about a setting that is given but not taken. One of a file that is not
  /// taken because of a value that ConfigNode::set gave is removed instead. The declarations must
  /// outlive this.
  Settings(const ConfigNode& root, std::span<const Setting> declared);

  /// What was removed, in words, each with the setting that does not take it.
  const std::vector<std::string>& fallen_away() const { return fallen_away_; }

  /// The declaration of a key that holds, null where the key is not taken.
  const Setting* find(std::string_view key) const;
  bool given(std::string_view key) const;

  // Each reads a setting, or throws a usage Error about it. Asking for another type than the
  // declared one, or for what is not declared or not taken, is an Error of the program.

  /// `otherwise` is what a setting without a default follows from.
  double number(std::string_view key, std::optional<double> otherwise = {}) const;
  std::int64_t integer(std::string_view key, std::optional<std::int64_t> otherwise = {}) const;
  bool flag(std::string_view key) const;
  std::string text(std::string_view key) const;
  std::string choice(std::string_view key) const;
  /// The elements of a list, for number_of and integer_of.
  std::vector<ConfigNode> list(std::string_view key) const;
  /// A setting of an element of the list `key`.
  double number_of(const ConfigNode& element, std::string_view key, std::string_view name) const;
  std::int64_t integer_of(const ConfigNode& element, std::string_view key,
                          std::string_view name) const;

  /// ConfigNode::fail_at for a dotted key.
  [[noreturn]] void fail_at(std::string_view key, std::string_view text) const;

 private:
  template <typename Type>
  const Type& declared_as(std::string_view key) const;
  bool holds(const Setting& setting) const;
  void drop_or_refuse(const Setting& setting);

  ConfigNode root_;
  std::span<const Setting> declared_;
  std::vector<std::string> fallen_away_;
};

}  // namespace pixeldp
