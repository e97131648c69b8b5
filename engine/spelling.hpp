#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pixeldp {

/// The word that a misspelt one was meant to be: the nearest by insertions, deletions and
/// replacements, if it is near enough.
std::optional<std::string> nearest(std::string_view wrong, const std::vector<std::string>& words);

}  // namespace pixeldp
