#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "engine/error.hpp"

namespace pixeldp {

/// The names of values, for command lines and configurations.
template <class Value, std::size_t count>
std::vector<std::string> names_of(const Value (&values)[count], std::string_view (*name)(Value)) {
  std::vector<std::string> names;
  for (const Value value : values) names.emplace_back(name(value));
  return names;
}

/// The value of this name. Throws a usage error that says what it should name, and all names.
template <class Value, std::size_t count>
Value value_named(std::string_view text, std::string_view what, const Value (&values)[count],
                  std::string_view (*name)(Value)) {
  std::string names;
  for (std::size_t i = 0; i < count; ++i) {
    if (text == name(values[i])) return values[i];
    names += (i == 0 ? "" : i + 1 < count ? ", " : " or ") + std::string(name(values[i]));
  }
  fail_usage("unknown {} '{}': use {}", what, text, names);
}

}  // namespace pixeldp
