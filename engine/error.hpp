#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace pixeldp {

/// The one exception type of the project. Its text says what happened, where, and how to mend it.
class Error : public std::runtime_error {
 public:
  /// The values are the program's exit statuses.
  enum class Kind { failure = 1, usage = 2 };

  Error(Kind kind, const std::string& text) : std::runtime_error(text), kind_(kind) {}
  Kind kind() const { return kind_; }

 private:
  Kind kind_;
};

/// Memory is short.
class OutOfMemory : public Error {
 public:
  explicit OutOfMemory(const std::string& text) : Error(Kind::failure, text) {}
};

/// Throws an Error about something that went wrong while running: a bad file, a full disk.
template <typename... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(Error::Kind::failure, fmt::format(format, std::forward<Args>(args)...));
}

/// Throws an Error about what the caller asked for: an unknown name, a value out of range.
template <typename... Args>
[[noreturn]] void fail_usage(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(Error::Kind::usage, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace pixeldp
