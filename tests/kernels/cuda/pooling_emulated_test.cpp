#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include "engine/error.hpp"
#include "kernels/cuda/scaling.hpp"
#include "tests/kernels/cuda/batch_norm_run.cuh"
#include "tests/reference/values.hpp"

namespace pixeldp::kernels::emulated {
namespace {

/// Runs the case on the processor and on the device: the same bits.
template <class Case>
void check(Case c, std::size_t offset) {
  Case expected = c;
  run_on_processor(expected);
  run(c, offset);
  CHECK(c.y == expected.y);
  if constexpr (requires { c.dx; }) CHECK(c.dx == expected.dx);
}

TEST_CASE("emulated pooling and shortcuts have the processor's bits, under every schedule") {
  for (const Schedule& schedule : adversarial_schedules) {
    CAPTURE(schedule.name());
    const WithSettings with(schedule);
    for (const std::size_t offset : {0, 1}) {
      CAPTURE(offset);
      for (const GlobalPoolShape& s : global_pool_shapes)
        check(GlobalPoolCase::integers(s), offset);
      for (const ShortcutShape& s : shortcut_shapes) check(ShortcutCase::integers(s), offset);
      for (const std::int64_t size : {0, 1, 1000, 1027})
        check(AddCase::integers(Activation::leaky_relu(0.25f), size), offset);
    }
  }
}

TEST_CASE("emulated pooling of reals has the processor's bits") {
  GlobalPoolCase pool = GlobalPoolCase::integers({3, 77, 12});
  pool.x = reference::reals(3 * 77 * 12, 1), pool.dy = reference::reals(3 * 12, 2);
  check(pool, 0);
  ShortcutCase shortcut = ShortcutCase::integers({2, 9, 9, 8, 16, 3, ShortcutKind::average});
  shortcut.x = reference::reals(2 * 9 * 9 * 8, 1), shortcut.dy = reference::reals(2 * 9 * 16, 2);
  check(shortcut, 0);
}

TEST_CASE("emulated pooling, shortcuts and scalings in bf16 are those in fp32, rounded") {
  using Bf16 = std::uint16_t;
  const auto halves = [](const std::vector<float>& values) {
    std::vector<Bf16> result;
    for (const float value : values) result.push_back(reference::to_bf16(value));
    return result;
  };
  for (const std::size_t offset : {0, 1}) {
    CAPTURE(offset);
    const auto moved = [&](std::vector<Bf16> values) {
      values.insert(values.begin(), offset, Bf16{});
      return values;
    };
    const auto result = [&](const DeviceArray<Bf16>& array) {
      const auto all = array.values();
      return std::vector<Bf16>(all.begin() + static_cast<std::ptrdiff_t>(offset), all.end());
    };
    for (const GlobalPoolShape& s : global_pool_shapes) {
      GlobalPoolCase c = GlobalPoolCase::integers(s);
      for (float& value : c.x) value = std::fmod(value, 256.0f);  // which bf16 has
      const DeviceArray<Bf16> x(moved(halves(c.x)));
      run_on_processor(c);
      const DeviceArray<float> y(c.y.size());
      emulated::global_average_pool(test_stream(), s, x.data() + offset, y.data());
      CHECK(y.values() == c.y);
    }
    for (const ShortcutShape& s : shortcut_shapes) {
      ShortcutCase c = ShortcutCase::integers(s);
      for (float& value : c.x) value = std::fmod(value, 256.0f);
      const DeviceArray<Bf16> x(moved(halves(c.x)));
      run_on_processor(c);
      const DeviceArray<Bf16> y(moved(std::vector<Bf16>(c.y.size())));
      emulated::shortcut_forward(test_stream(), s, x.data() + offset, y.data() + offset);
      CHECK(result(y) == halves(c.y));
    }
    for (const std::int64_t channels : {1, 7, 40}) {
      const std::int64_t pixels = 300;
      const auto integers = [&](std::uint64_t seed) {
        auto values = reference::integers(pixels * channels, 255, seed);
        return values;
      };
      const auto values = integers(1), added = integers(2), scales = reference::reals(channels, 3),
                 shifts = reference::reals(channels, 4);
      std::vector<float> scaled, sums;
      for (std::size_t i = 0; i < values.size(); ++i) {
        const std::size_t o = i % static_cast<std::size_t>(channels);
        const float value = scales[o] * values[i] + shifts[o], sum = values[i] + added[i];
        scaled.push_back(value > 0.0f ? value : 0.25f * value);
        sums.push_back(sum > 0.0f ? sum : 0.25f * sum);
      }
      const DeviceArray<float> x(values), r(added), scale(scales), shift(shifts), y(values.size());
      const DeviceArray<Bf16> x16(halves(values)), r16(halves(added)), y16(values.size());
      const ScalingParams params{pixels, channels, scale.data(), shift.data(), {0.25f}};
      const float* const none = nullptr;
      const Bf16* const none16 = nullptr;
      scale_values(nullptr, params, x.data(), none, y.data());
      CHECK(y.values() == scaled);
      scale_values(nullptr, params, x.data(), none, y16.data());
      CHECK(y16.values() == halves(scaled));
      scale_values(nullptr, params, x16.data(), none16, y.data());
      CHECK(y.values() == scaled);
      scale_values(nullptr, params, x16.data(), r16.data(), y16.data());
      CHECK(y16.values() == halves(sums));
      scale_values(nullptr, params, x.data(), r.data(), y.data());
      CHECK(y.values() == sums);
    }
  }
  CHECK(scaling_blocks({.pixels = 0, .channels = 3}) == 0);
  CHECK(scaling_blocks({.pixels = 1025, .channels = 1}) == 2);
  CHECK_THROWS_AS(scaling_blocks({.pixels = 1, .channels = 0}), Error);
  CHECK_THROWS_AS(scaling_blocks({.pixels = std::int64_t{1} << 60, .channels = 1}), Error);
}

TEST_CASE("the blocks of pooling") {
  CHECK(PoolingGrid::global({128, 64, 640}, nullptr, nullptr).blocks == 640);
  CHECK(PoolingGrid::global({3, 64, 5}, nullptr, nullptr).blocks == 1);
  CHECK(PoolingGrid::global_backward({128, 64, 640}, nullptr, nullptr).blocks == 128 * 5);
  CHECK(PoolingGrid::shortcut({128, 32, 32, 160, 320, 2}, nullptr, nullptr).blocks == 128 * 16);
  CHECK(PoolingGrid::shortcut_backward({128, 32, 32, 160, 320, 2}, nullptr, nullptr).blocks ==
        128 * 32);
  CHECK(PoolingGrid::shortcut({1, 4, 4, 4, 8, 2}, nullptr, nullptr).vectorised == false);
  CHECK(PoolingGrid::add(4096, nullptr, nullptr, nullptr).blocks == 4);
  CHECK_THROWS_AS(PoolingGrid::add(std::int64_t{1} << 50, nullptr, nullptr, nullptr), Error);
  CHECK_THROWS_AS(PoolingGrid::global({1, 1 << 20, 2048}, nullptr, nullptr), Error);
  CHECK_THROWS_AS(PoolingGrid::shortcut({1 << 30, 4, 4, 4, 4, 1}, nullptr, nullptr), Error);
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
