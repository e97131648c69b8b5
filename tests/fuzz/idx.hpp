#pragma once

#include "engine/io/dataset.hpp"
#include "tests/fuzz/accept.hpp"

namespace pixeldp::fuzz {

inline void idx(ByteView input) {
  accept([&] { parse_idx_labels(input, 10, "input"); });
  const IdxImages images = parse_idx_images(input, "input");
  require(images.count > 0 && images.height > 0 && images.width > 0);
  require(images.pixels.size() + 16 == input.size());
}

}  // namespace pixeldp::fuzz
