#pragma once

#include "engine/io/image.hpp"
#include "tests/fuzz/accept.hpp"

namespace pixeldp::fuzz {

inline void png(ByteView input) {
  for (const std::int64_t channels : {1, 3}) {
    const Image image = parse_png(input, channels, "input");
    require(static_cast<std::int64_t>(image.pixels.size()) ==
            image.height * image.width * channels);
  }
}

}  // namespace pixeldp::fuzz
