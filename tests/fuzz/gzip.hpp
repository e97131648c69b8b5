#pragma once

#include "tests/fuzz/accept.hpp"

namespace pixeldp::fuzz {

inline void gzip(ByteView input) {
  constexpr std::size_t limit = std::size_t{1} << 20;
  require(decompress_gzip(input, "input", limit).size() <= limit);
}

}  // namespace pixeldp::fuzz
