#pragma once

#include <cstddef>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "engine/error.hpp"

namespace pixeldp {

/// Where a line of a log stands, for messages.
struct LogPlace {
  std::string_view source;
  std::size_t line = 0;

  template <typename... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    pixeldp::fail("{}:{}: {}", source, line, fmt::format(format, std::forward<Args>(args)...));
  }
};

}  // namespace pixeldp
