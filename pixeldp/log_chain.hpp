#pragma once

#include <string>
#include <string_view>

#include "engine/io/file.hpp"

namespace pixeldp {

/// The chain of digests that runs over the lines of a certificate log (docs/certificate_log.md):
/// each line ends in the SHA-256 of the value before it and of its own text, so that the last one
/// vouches for the header, for every line and for their order.
class LogChain {
 public:
  LogChain() = default;
  explicit LogChain(std::string_view header_line) : value_(sha256_hex(as_bytes(header_line))) {}

  /// A line's text, without its end and without the chain.
  static std::string_view text_of(std::string_view line) { return line.substr(0, line.rfind(key)); }

  /// The next line, of this text.
  std::string line(std::string_view text) {
    std::string whole(text);
    value_ = sha256_hex(as_bytes(value_ + whole));
    return whole.append(key).append(value_).append("\"}");
  }

 private:
  static constexpr std::string_view key = ", \"chain\": \"";

  std::string value_;
};

}  // namespace pixeldp
