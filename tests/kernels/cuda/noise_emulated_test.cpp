#include <algorithm>
#include <bit>
#include <vector>

#include <doctest/doctest.h>

#include "engine/error.hpp"
#include "kernels/cpu/simd.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/noise.hpp"
#include "kernels/noise.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/reference/values.hpp"

namespace pixeldp::kernels::emulated {
namespace {

constexpr NoiseDistribution distributions[] = {NoiseDistribution::none, NoiseDistribution::gaussian,
                                               NoiseDistribution::laplace};

NoiseParams params_of(NoiseDistribution distribution, float slope = 1.0f) {
  NoiseParams params;
  params.distribution = distribution;
  params.scale = 0.37f;
  params.seed = 0x0123456789abcdef;
  params.activation = {slope};
  return params;
}

/// The emulated kernel's y and the processor's, `skip` elements away from an aligned address, with
/// `margin` sentinels on either side.
struct Parity {
  static constexpr std::size_t margin = 64;
  static constexpr float sentinel = 12345.0f;
  std::vector<float> emulated, expected;

  Parity(const NoiseParams& params, const std::vector<NoiseRow>& rows,
         const std::vector<float>& prefix, std::int64_t elements, std::size_t skip) {
    const std::size_t count = rows.size() * static_cast<std::size_t>(elements);
    expected.assign(count + 2 * margin + skip, sentinel);
    const DeviceArray<float> y(expected);
    const DeviceArray<float> device_prefix(prefix);
    const DeviceArray<NoiseRow> device_rows(rows);
    kernels::add_noise(test_stream(), params, device_rows.data(), std::ssize(rows), elements,
                       device_prefix.data() + skip, y.data() + margin + skip);
    emulated = y.values();
    cpu::add_noise(cpu::InstructionSet::plain, params, rows.data(), std::ssize(rows), elements,
                   prefix.data() + skip, expected.data() + margin + skip);
  }
};

TEST_CASE("the emulated noise kernel gives the bits of the processor's, and writes nothing else") {
  const std::vector<NoiseRow> rows = {{0, 3, 5}, {1, 4, 0xffffffff}, {0, 0xffffffff, 0}};
  const std::vector<float> prefix = reference::awkward_values(2 * 1500 + 3);
  for (const NoiseDistribution distribution : distributions) {
    for (const float slope : {1.0f, 0.0f, 0.1f, -0.5f}) {
      for (const std::int64_t elements : {1, 3, 4, 7, 127, 128, 129, 784, 1023, 1024, 1028, 1500}) {
        for (const std::size_t skip : {0, 3}) {
          CAPTURE(elements);
          CAPTURE(slope);
          const Parity parity(params_of(distribution, slope), rows, prefix, elements, skip);
          REQUIRE(reference::bits(parity.emulated) == reference::bits(parity.expected));
        }
      }
    }
  }
}

TEST_CASE("a factor in the device's memory multiplies the scale, and may change behind the call") {
  const std::vector<NoiseRow> rows = {{0, 3, 5}, {1, 4, 6}};
  const std::vector<float> prefix = reference::reals(2 * 130, 1);
  const DeviceArray<NoiseRow> device_rows(rows);
  const DeviceArray<float> device_prefix(prefix), factor(std::vector<float>{0.0f}), y(2 * 130);
  for (const NoiseDistribution distribution : distributions) {
    for (const float by : {0.3f, 1.0f}) {
      NoiseParams params = params_of(distribution);
      const std::vector<float> changed = {by};
      params.factor = factor.data();
      cudaMemcpy(factor.data(), changed.data(), sizeof by, cudaMemcpyHostToDevice);
      kernels::add_noise(test_stream(), params, device_rows.data(), 2, 130, device_prefix.data(),
                         y.data());
      std::vector<float> expected(2 * 130), on_processor(2 * 130);
      params.factor = &by;
      kernels::add_noise(pixeldp::Stream(), params, rows.data(), 2, 130, prefix.data(),
                         on_processor.data());
      params.factor = nullptr;
      params.scale *= by;
      kernels::add_noise(pixeldp::Stream(), params, rows.data(), 2, 130, prefix.data(),
                         expected.data());
      CHECK(y.values() == expected);
      CHECK(on_processor == expected);
    }
  }
  NoiseParams params = params_of(NoiseDistribution::gaussian);
  params.factor = factor.data();
  CHECK_THROWS_AS(check_noise_arguments(params, 2, 130), Error);  // of all other operations
}

TEST_CASE("schedules make no difference to the noise") {
  std::vector<NoiseRow> rows;
  for (std::uint32_t i = 0; i < 21; ++i) rows.push_back({i % 2, i / 5, i % 5});
  const std::vector<float> prefix = reference::awkward_values(2 * 1100);
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(schedule);
    for (const NoiseDistribution distribution : distributions) {
      const Parity parity(params_of(distribution, 0.0f), rows, prefix, 1100, 0);
      REQUIRE(reference::bits(parity.emulated) == reference::bits(parity.expected));
    }
  }
}

TEST_CASE("rows with more segments than blocks are done to the end") {
  const std::int64_t elements = 1024 * NoiseGrid::segment_elements + 1030;
  const std::vector<float> prefix(static_cast<std::size_t>(elements));
  const Parity parity(params_of(NoiseDistribution::laplace), {{0, 1, 2}}, prefix, elements, 0);
  CHECK(reference::bits(parity.emulated) == reference::bits(parity.expected));
}

TEST_CASE("a scale of zero is no noise") {
  NoiseParams params = params_of(NoiseDistribution::gaussian);
  params.scale = 0.0f;
  const std::vector<float> prefix = reference::awkward_values(37);
  const Parity parity(params, {{0, 1, 2}}, prefix, 37, 0);
  CHECK(std::equal(prefix.begin(), prefix.end(), parity.emulated.begin() + Parity::margin,
                   [](float a, float b) {
                     return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
                   }));
}

TEST_CASE("the work is shared out to cover every element once") {
  const auto* aligned = reinterpret_cast<const float*>(0x1000);
  const NoiseGrid small = NoiseGrid::plan(1, 1, aligned, aligned);
  CHECK(small.row_blocks == 1);
  CHECK(small.segment_blocks == 1);
  CHECK_FALSE(small.vectorised);
  const NoiseGrid usual = NoiseGrid::plan(257, 6272, aligned, aligned + 4);
  CHECK(usual.row_blocks == 33);
  CHECK(usual.segment_blocks == 7);
  CHECK(usual.vectorised);
  CHECK_FALSE(NoiseGrid::plan(257, 6272, aligned + 1, aligned).vectorised);
  CHECK_FALSE(NoiseGrid::plan(257, 6272, aligned, aligned + 2).vectorised);
  CHECK_FALSE(NoiseGrid::plan(257, 6274, aligned, aligned).vectorised);
  const NoiseGrid longest = NoiseGrid::plan(1, std::int64_t{1} << 34, aligned, aligned);
  CHECK(longest.segment_blocks == 1024);
  constexpr std::int64_t most_rows = std::int64_t{0x7fffffff} * 8;
  CHECK(NoiseGrid::plan(most_rows, 4, aligned, aligned).row_blocks == 0x7fffffff);
  CHECK_THROWS_AS(NoiseGrid::plan(most_rows + 1, 4, aligned, aligned), Error);
}

TEST_CASE(
    "the emulated kernel refuses what the processor's refuses, and does nothing for nothing") {
  NoiseParams params = params_of(NoiseDistribution::gaussian);
  CHECK_NOTHROW(kernels::add_noise(test_stream(), params, nullptr, 0, 5, nullptr, nullptr));
  CHECK_NOTHROW(kernels::add_noise(test_stream(), params, nullptr, 5, 0, nullptr, nullptr));
  CHECK_THROWS_AS(kernels::add_noise(test_stream(), params, nullptr, -1, 5, nullptr, nullptr),
                  Error);
  CHECK_THROWS_AS(kernels::add_noise(test_stream(), params, nullptr, 0, (std::int64_t{4} << 32) + 1,
                                     nullptr, nullptr),
                  Error);
  params.scale = -1.0f;
  CHECK_THROWS_AS(kernels::add_noise(test_stream(), params, nullptr, 0, 5, nullptr, nullptr),
                  Error);
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
