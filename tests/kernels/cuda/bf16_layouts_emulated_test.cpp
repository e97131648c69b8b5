#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/bf16_layouts.hpp"
#include "kernels/cuda/device.cuh"
#include "tests/emulator/device_array.hpp"
#include "tests/reference/values.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp::kernels::emulated {
namespace {

TEST_CASE("to bf16, ties to even, and back, without a trace beyond the end") {
  for (const std::int64_t size : {0, 1, 255, 256, 257, 700}) {
    std::vector<float> x = reference::integers(size, 1000, 1);  // above 256, some are rounded
    std::vector<float> expected;
    for (const float value : x) {
      const float step = std::abs(value) > 512.0f ? 4.0f : std::abs(value) > 256.0f ? 2.0f : 1.0f;
      expected.push_back(std::nearbyint(value / step) * step);
    }
    const DeviceArray<float> in(x), out(static_cast<std::size_t>(size) + 1);
    const DeviceArray<std::uint16_t> middle(std::vector<std::uint16_t>(x.size() + 1, 0x1234));
    to_bf16(nullptr, size, in.data(), middle.data());
    CHECK(middle.values().back() == 0x1234);
    from_bf16(nullptr, size, middle.data(), out.data());
    std::vector<float> y = out.values();
    y.pop_back();
    CHECK(y == expected);
  }
}

TEST_CASE("weights to bf16 with the channels last, and back") {
  for (const auto& [out_c, in_c, kernel_h, kernel_w] :
       {std::array{3, 5, 2, 4}, std::array{8, 16, 3, 3}, std::array{1, 1, 1, 1},
        std::array{7, 1, 5, 1}}) {
    Conv2dShape s;
    s.out_c = out_c, s.in_c = in_c, s.kernel_h = kernel_h, s.kernel_w = kernel_w;
    const auto weight = reference::integers(s.weight_size(), 200, 2);
    const DeviceArray<float> in(weight), out(weight.size());
    const DeviceArray<float> packed_values(weight.size());
    const DeviceArray<std::uint16_t> packed(weight.size());
    weight_to_bf16(nullptr, s, in.data(), packed.data());
    from_bf16(nullptr, s.weight_size(), packed.data(), packed_values.data());
    std::vector<float> expected;
    for (std::int64_t o = 0; o < s.out_c; ++o)
      for (std::int64_t r = 0; r < s.kernel_h; ++r)
        for (std::int64_t q = 0; q < s.kernel_w; ++q)
          for (std::int64_t c = 0; c < s.in_c; ++c)
            expected.push_back(weight[static_cast<std::size_t>(
                ((o * s.in_c + c) * s.kernel_h + r) * s.kernel_w + q)]);
    CHECK(packed_values.values() == expected);
    weight_from_bf16(nullptr, s, packed.data(), out.data());
    CHECK(out.values() == weight);
  }
}

TEST_CASE("more elements than a launch can do") {
  CHECK(bf16_layout_blocks((std::int64_t{1} << 38) - 1) == 1u << 30);
  CHECK_FAILS(bf16_layout_blocks(std::int64_t{1} << 38), "one launch");
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
