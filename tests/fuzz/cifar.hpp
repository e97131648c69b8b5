#pragma once

#include "engine/io/dataset.hpp"
#include "tests/fuzz/accept.hpp"

namespace pixeldp::fuzz {

inline void cifar(ByteView input) {
  const auto check = [](const CifarImages& images, int classes) {
    require(!images.labels.empty() && images.pixels.size() == images.labels.size() * 3072);
    for (const auto label : images.labels) require(label < classes);
  };
  accept([&] { check(parse_cifar100(input, "input"), 100); });
  check(parse_cifar10(input, "input"), 10);
}

}  // namespace pixeldp::fuzz
