#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "engine/error.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/parseval.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/reference/values.hpp"

/// The Parseval projection through the emulator, against the processor's, whose singular values
/// tests/pixeldp/parseval_test.cpp looks at.
namespace pixeldp::kernels::emulated {
namespace {

struct Projected {
  std::vector<float> weight;
  std::uint64_t bad_loop = no_bad_loop;
  bool operator==(const Projected&) const = default;
};

Projected on_processor(const ParsevalParams& params, std::vector<float> weight,
                       std::uint64_t bad_loop = no_bad_loop) {
  kernels::parseval_project(pixeldp::Stream(), params, weight.data(), &bad_loop);
  return {weight, bad_loop};
}

Projected on_device(const ParsevalParams& params, std::vector<float> weight,
                    std::uint64_t bad_loop = no_bad_loop) {
  constexpr std::size_t fence = 9;
  constexpr float sentinel = 12345.0f;
  weight.insert(weight.begin(), fence, sentinel);
  weight.insert(weight.end(), fence, sentinel);
  const DeviceArray<float> device(weight);
  const DeviceArray<std::uint64_t> status(std::vector<std::uint64_t>{bad_loop});
  kernels::parseval_project(test_stream(), params, device.data() + fence, status.data());
  std::vector<float> after = device.values();
  for (std::size_t i = 0; i < fence; ++i) {
    CHECK(after[i] == sentinel);
    CHECK(after[after.size() - 1 - i] == sentinel);
  }
  return {{after.begin() + fence, after.end() - fence}, status.values()[0]};
}

/// A weight whose squared singular values are below 1.
std::vector<float> tame(std::int64_t rows, std::int64_t cols, std::uint64_t seed) {
  std::vector<float> weight = reference::reals(rows * cols, seed);
  for (float& value : weight) value /= std::sqrt(static_cast<float>(rows * cols));
  return weight;
}

TEST_CASE("the emulated Parseval projection has the processor's bits") {
  for (const auto& [rows, cols] : {std::pair<std::int64_t, std::int64_t>{1, 1},
                                   {1, 9},
                                   {9, 1},
                                   {2, 2},
                                   {5, 8},
                                   {8, 5},
                                   {7, 7},
                                   {3, 150},
                                   {150, 3},
                                   {32, 25},
                                   {16, 27},
                                   {48, 48},
                                   {48, 256},
                                   {256, 48}}) {
    for (const int loops : {0, 1, 2, 3, 10}) {
      for (const double scale : {1.0, 3.0}) {
        CAPTURE(rows);
        CAPTURE(cols);
        CAPTURE(loops);
        const ParsevalParams params = {rows, cols, scale, 0.3, loops};
        const std::vector<float> weight = tame(rows, cols, 1);
        const Projected expected = on_processor(params, weight);
        CHECK(expected.bad_loop == no_bad_loop);
        CHECK((expected.weight == weight) == (loops == 0));
        CHECK(on_device(params, weight) == expected);
      }
    }
  }
}

TEST_CASE("the emulated Parseval projection of weights that take a whole grid") {
  for (const auto& [rows, cols] :
       {std::pair<std::int64_t, std::int64_t>{49, 60}, {61, 50}, {2, 6145}, {6145, 2}}) {
    CAPTURE(rows);
    CHECK(!ParsevalPlan::make(rows, cols, sm_80).one_block);
    for (const int loops : {1, 2, 5}) {
      const ParsevalParams params = {rows, cols, 1.5, 0.3, loops};
      const std::vector<float> weight = tame(rows, cols, 2);
      CHECK(on_device(params, weight) == on_processor(params, weight));
    }
  }
}

TEST_CASE("the emulated Parseval projection has the same bits on every device") {
  const ParsevalParams params = {32, 75, 1.5, 0.3, 3};
  const std::vector<float> weight = tame(params.rows, params.cols, 2);
  const Projected expected = on_processor(params, weight);
  for (const Arch& arch : known_archs) {
    CHECK(ParsevalPlan::make(params.rows, params.cols, arch).one_block ==
          (arch.capability == 80 || arch.capability == 90));
    const WithSettings with(arch);
    CHECK(on_device(params, weight) == expected);
  }
}

TEST_CASE("the emulated Parseval projection under every schedule") {
  for (const auto& [rows, cols] :
       {std::pair<std::int64_t, std::int64_t>{16, 27}, {27, 16}, {49, 51}}) {
    const ParsevalParams params = {rows, cols, 2.0, 0.3, 3};
    const std::vector<float> weight = tame(rows, cols, 3);
    const Projected expected = on_processor(params, weight);
    for (const Schedule& schedule : adversarial_schedules) {
      CAPTURE(schedule.name());
      CAPTURE(rows);
      const WithSettings with(schedule);
      CHECK(on_device(params, weight) == expected);
    }
  }
}

TEST_CASE("an emulated projection that diverges says when, and leaves the weight alone") {
  for (const auto& [rows, cols] : {std::pair<std::int64_t, std::int64_t>{5, 8}, {50, 49}}) {
    const std::int64_t n = std::min(rows, cols);
    for (const auto& [value, shows_at_once] :
         {std::pair{3.0f, true}, {2.3f, true}, {2.24f, false}}) {
      // Singular values 1 and `value`; with step 0.5, the largest that is harmless is the root
      // of 5. Turned by 45 degrees on both sides, 2.24 shows as 3 on the diagonal, and only later
      // as more.
      CAPTURE(value);
      std::vector<float> weight(static_cast<std::size_t>(rows * cols), 0.0f);
      const auto at = [&](std::int64_t r, std::int64_t c) -> float& {
        return weight[static_cast<std::size_t>(r * cols + c)];
      };
      for (std::int64_t i = 0; i < n; ++i) at(i, i) = 1.0f;
      if (shows_at_once) {
        at(1, 1) = value;
      } else {
        at(0, 0) = at(1, 1) = (value + 1.0f) / 2.0f;
        at(0, 1) = at(1, 0) = (value - 1.0f) / 2.0f;
      }
      const ParsevalParams params = {rows, cols, 1.0, 0.5, 30};
      const Projected expected = on_processor(params, weight);
      CHECK(expected.bad_loop != no_bad_loop);
      CHECK((expected.bad_loop == 0) == shows_at_once);
      CHECK(expected.weight == weight);
      CHECK(on_device(params, weight) == expected);
      CHECK(
          divergence_text(expected.bad_loop, params, "conv1.weight")
              .starts_with("the Parseval projection of conv1.weight diverges with a step of 0.5"));
      weight[0] = std::numeric_limits<float>::quiet_NaN();
      CHECK(on_device(params, weight).bad_loop == 0);
      CHECK(on_processor(params, weight).bad_loop == 0);
    }
    const ParsevalParams params = {rows, cols, 1.0, 0.5, 3};
    const std::vector<float> weight = tame(rows, cols, 4);
    CHECK(on_device(params, weight, 7) == Projected{weight, 7});  // as something else has diverged
    CHECK(on_processor(params, weight, 7) == Projected{weight, 7});
  }
  CHECK(divergence_text(no_bad_loop, {}, "conv1.weight").empty());
}

TEST_CASE("how a Parseval projection is done, and what it refuses") {
  CHECK(ParsevalPlan::make(32, 25, sm_80).one_block);
  CHECK(ParsevalPlan::make(32, 25, sm_80).side == 25);
  CHECK(!ParsevalPlan::make(32, 25, sm_80).wide);
  CHECK(ParsevalPlan::make(16, 27, sm_80).wide);
  CHECK(ParsevalPlan::make(48, 256, sm_80).one_block);
  CHECK(!ParsevalPlan::make(48, 257, sm_80).one_block);
  CHECK(!ParsevalPlan::make(49, 49, sm_80).one_block);
  CHECK(ParsevalPlan::make(64, 64, sm_80).blocks == 16);
  CHECK(ParsevalPlan::make(0, 5, sm_80).side == 0);
  CHECK(ParsevalPlan::make(4096, 4096, sm_80).blocks == ParsevalPlan::most_blocks);
  CHECK_THROWS_AS(ParsevalPlan::make(40000, 40000, sm_80), Error);
  const auto refused = [](const ParsevalParams& params) {
    CHECK_THROWS_AS(kernels::parseval_project(test_stream(), params, nullptr, nullptr), Error);
    CHECK_THROWS_AS(kernels::parseval_project(pixeldp::Stream(), params, nullptr, nullptr), Error);
  };
  refused({-1, 2, 1.0, 0.1, 1});
  refused({2, 2, 0.0, 0.1, 1});
  refused({2, 2, 1.0, std::numeric_limits<double>::infinity(), 1});
  refused({2, 2, 1.0, 0.1, -1});
  CHECK_NOTHROW(kernels::parseval_project(test_stream(), {0, 2, 1.0, 0.1, 1}, nullptr, nullptr));
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
