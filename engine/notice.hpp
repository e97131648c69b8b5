#pragma once

#include <cstdio>
#include <utility>

#include <fmt/format.h>

namespace pixeldp {

// Lines on standard error about what the program does and its user may not expect. Errors are
// thrown instead (engine/error.hpp).

/// "pixeldp: TEXT"
template <typename... Args>
void notice(fmt::format_string<Args...> format, Args&&... args) {
  fmt::print(stderr, "pixeldp: {}\n", fmt::format(format, std::forward<Args>(args)...));
}

/// "pixeldp: warning: TEXT"
template <typename... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  notice("warning: {}", fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace pixeldp
