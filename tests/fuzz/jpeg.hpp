#pragma once

#include "engine/io/image.hpp"
#include "tests/fuzz/accept.hpp"

namespace pixeldp::fuzz {

inline void jpeg(ByteView input) {
  for (const std::int64_t channels : {1, 3}) {
    const Image image = parse_jpeg(input, channels, "input");
    require(image.height > 0 && image.width > 0);
    require(static_cast<std::int64_t>(image.pixels.size()) ==
            image.height * image.width * channels);
  }
}

}  // namespace pixeldp::fuzz
