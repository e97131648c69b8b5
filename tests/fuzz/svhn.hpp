#pragma once

#include "engine/io/dataset.hpp"
#include "tests/fuzz/accept.hpp"

namespace pixeldp::fuzz {

inline void svhn(ByteView input) {
  const CifarImages images = parse_svhn(input, "input");
  require(!images.labels.empty() && images.pixels.size() == images.labels.size() * 3072);
  for (const auto label : images.labels) require(label < 10);
}

}  // namespace pixeldp::fuzz
