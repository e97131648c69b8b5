#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cpu/simd_kernels.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/int8_values.hpp"
#include "kernels/noise.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/reference/int8.hpp"
#include "tests/reference/values.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp::kernels::emulated {
namespace {

using Bytes = std::vector<std::int8_t>;

struct Values {
  std::vector<std::uint32_t> real;  // bits
  Bytes bytes;
  bool operator==(const Values&) const = default;
};

std::vector<std::uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<std::uint32_t> bits;
  for (const float v : values)
    bits.push_back(std::isnan(v) ? 0x7fffffffu : std::bit_cast<std::uint32_t>(v));
  return bits;
}

/// As the processor scales and rounds, in plain code.
Values on_processor(const ScalingParams& params, const std::vector<float>& x, const float* residual,
                    float inverse_scale) {
  std::vector<float> real(x.size());
  std::vector<std::uint8_t> bytes(x.size());
  cpu::simd_kernels(cpu::InstructionSet::plain)
      .inference.scaling({.pixels = params.pixels,
                          .channels = params.channels,
                          .scale = params.scale,
                          .shift = params.shift,
                          .residual = residual,
                          .slope = params.activation.slope},
                         cpu::Real::fp32, cpu::Real::fp32, x.data(),
                         {real.data(), bytes.data(), inverse_scale});
  Values values{bits_of(real), {}};
  for (const std::uint8_t byte : bytes)
    values.bytes.push_back(static_cast<std::int8_t>(byte - cpu::zero_byte));
  return values;
}

TEST_CASE("values rounded on a device are those of the processor, between margins that stay") {
  constexpr std::size_t margin = 16;
  constexpr float sentinel = 12345.0f;
  for (const std::int64_t channels : {1, 3, 4, 12, 16, 37, 64}) {
    const std::int64_t pixels = 9;
    const auto count = static_cast<std::size_t>(pixels * channels);
    std::vector<float> x = reference::reals(pixels * channels, 1),
                       residual = reference::reals(pixels * channels, 2);
    const std::vector<float> edges = reference::rounding_edges();
    for (std::size_t i = 0; i < count; i += 2) x[i] = edges[i % edges.size()];
    const auto scale = reference::reals(channels, 3), shift = reference::reals(channels, 4);
    const DeviceArray<float> device_scale(scale), device_shift(shift);
    std::vector<std::int64_t> fillings = {int8_channels(channels)};
    if (channels % 4 == 0) fillings.push_back(channels);
    for (const std::int64_t filled : fillings) {
      for (const int kind : {0, 1, 2}) {  // as they are, scaled, added to
        for (const float slope : {1.0f, 0.0f, 0.1f}) {
          for (const std::size_t skip : {0, 1}) {
            for (const bool with_real : {true, false}) {
              CAPTURE(channels);
              CAPTURE(filled);
              CAPTURE(kind);
              CAPTURE(slope);
              CAPTURE(skip);
              ScalingParams params{pixels, channels, nullptr, nullptr, {slope}};
              if (kind == 1) params.scale = scale.data(), params.shift = shift.data();
              const Values expected =
                  on_processor(params, x, kind == 2 ? residual.data() : nullptr, 20.0f);
              const auto shifted = [&](const std::vector<float>& values) {
                std::vector<float> all(skip, sentinel);
                all.insert(all.end(), values.begin(), values.end());
                return all;
              };
              const DeviceArray<float> device_x(shifted(x)), added(shifted(residual)),
                  real(std::vector<float>(count + 2 * margin + skip, sentinel));
              const DeviceArray<std::int8_t> bytes(
                  Bytes(static_cast<std::size_t>(pixels * filled) + 2 * margin, -128));
              if (kind == 1) params.scale = device_scale.data(), params.shift = device_shift.data();
              round_values(nullptr, params, filled, device_x.data() + skip,
                           kind == 2 ? added.data() + skip : nullptr,
                           {with_real ? real.data() + margin + skip : nullptr,
                            bytes.data() + margin, 20.0f});
              const auto reals = real.values();
              const auto all = bytes.values();
              const auto from = reals.begin() + static_cast<std::ptrdiff_t>(margin + skip);
              const std::vector<float> inner(from, from + static_cast<std::ptrdiff_t>(count));
              if (with_real)
                CHECK(bits_of(inner) == expected.real);
              else
                CHECK(std::ranges::count(reals, sentinel) == std::ssize(reals));
              CHECK(std::count(reals.begin(), from, sentinel) == from - reals.begin());
              CHECK(std::count(reals.end() - margin, reals.end(), sentinel) == margin);
              Bytes kept, zeros;
              for (std::size_t i = margin; i + margin < all.size(); ++i)
                (static_cast<std::int64_t>(i - margin) % filled < channels ? kept : zeros)
                    .push_back(all[i]);
              CHECK(kept == expected.bytes);
              CHECK(std::ranges::count(zeros, 0) == std::ssize(zeros));
              CHECK(std::count(all.begin(), all.begin() + margin, -128) == margin);
              CHECK(std::count(all.end() - margin, all.end(), -128) == margin);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("rounding agrees with its definition at ties, at the ends and beyond") {
  const std::vector<float> edges = reference::rounding_edges();
  for (const float inverse : {1.0f, 0.25f, 3.0f, 1e-30f, 1e30f}) {
    CAPTURE(inverse);
    const std::int64_t count = std::ssize(edges);
    const std::int64_t filled = (count + 3) / 4 * 4;
    const DeviceArray<float> x(edges);
    const DeviceArray<std::int8_t> bytes(static_cast<std::size_t>(filled));
    round_values(nullptr, {1, count, nullptr, nullptr, {}}, filled, x.data(), nullptr,
                 {nullptr, bytes.data(), inverse});
    Bytes expected(static_cast<std::size_t>(filled));
    std::ranges::transform(edges, expected.begin(),
                           [&](float v) { return reference::to_byte(v, inverse); });
    CHECK(bytes.values() == expected);
    Bytes processor = on_processor({1, count, nullptr, nullptr, {}}, edges, nullptr, inverse).bytes;
    processor.resize(expected.size());
    CHECK(processor == expected);
  }
}

TEST_CASE("noise in bytes is the noise, rounded, under every schedule") {
  const std::vector<NoiseRow> rows = {{0, 3, 5}, {1, 4, 0xffffffff}, {0, 0xffffffff, 0}};
  for (const std::int64_t elements : {4, 12, 128, 1024, 1028, 2500}) {
    CAPTURE(elements);
    const std::vector<float> prefix = reference::reals(2 * elements, 1);
    const DeviceArray<float> device_prefix(prefix);
    const DeviceArray<NoiseRow> device_rows(rows);
    for (const auto distribution :
         {NoiseDistribution::none, NoiseDistribution::gaussian, NoiseDistribution::laplace}) {
      for (const float slope : {1.0f, 0.0f, 0.1f}) {
        NoiseParams params;
        params.distribution = distribution, params.scale = 0.37f, params.seed = 9;
        params.activation = {slope};
        std::vector<float> noisy(rows.size() * static_cast<std::size_t>(elements));
        kernels::add_noise(Stream(), params, rows.data(), std::ssize(rows), elements, prefix.data(),
                           noisy.data());
        Bytes expected;
        for (const float v : noisy) expected.push_back(reference::to_byte(v, 80.0f));
        CHECK(std::ranges::max(expected) > 60);
        const bool thorough = elements == 1028 && slope == 0.0f;
        for (const Schedule& schedule : adversarial_schedules) {
          if (!thorough && !(schedule == adversarial_schedules[0])) continue;
          const WithSettings with(schedule);
          const DeviceArray<std::int8_t> y(Bytes(expected.size() + 8, -128));
          add_noise_bytes(nullptr, params, device_rows.data(), std::ssize(rows), elements,
                          device_prefix.data(), {nullptr, y.data() + 4, 80.0f});
          Bytes found = y.values();
          CHECK(std::count(found.begin(), found.begin() + 4, -128) == 4);
          CHECK(std::count(found.end() - 4, found.end(), -128) == 4);
          CHECK(Bytes(found.begin() + 4, found.end() - 4) == expected);
        }
      }
    }
  }
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
