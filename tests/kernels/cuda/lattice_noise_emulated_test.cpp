#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "engine/error.hpp"
#include "kernels/cpu/simd.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/lattice_noise.hpp"
#include "kernels/cuda/noise.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/kernels/cuda/moved_arrays.hpp"
#include "tests/reference/lattice.hpp"
#include "tests/reference/values.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp::kernels::emulated {
namespace {

constexpr NoiseDistribution both_laws[] = {NoiseDistribution::gaussian, NoiseDistribution::laplace};

NoiseParams lattice_params(NoiseDistribution law, float slope = 1.0f) {
  return {law, 0.37f, 0x123456789abcdef, StreamTag::estimation, {slope}};
}

/// The emulated kernel's y and bytes, `skip` elements away from an aligned address, with `margin`
/// sentinels on either side, and what the instruction sets of processors give.
struct LatticeParity {
  static constexpr std::size_t margin = 64;
  static constexpr float sentinel = 12345.0f, inverse_scale = 90.0f;
  static constexpr std::int8_t byte_sentinel = 55;
  std::vector<float> emulated;
  std::vector<std::int8_t> bytes;
  std::vector<std::vector<float>> expected;
  std::vector<std::int8_t> expected_bytes;

  LatticeParity(const NoiseParams& params, const std::vector<NoiseRow>& rows,
                const std::vector<std::int32_t>& prefix, std::int64_t elements,
                std::size_t skip = 0) {
    const std::size_t count = rows.size() * static_cast<std::size_t>(elements);
    const std::vector<float> blank(count + 2 * margin + skip, sentinel);
    for (const auto set : cpu::instruction_sets) {
      if (!cpu::supported(set)) continue;
      expected.push_back(blank);
      cpu::add_lattice_noise(set, params, rows.data(), std::ssize(rows), elements,
                             prefix.data() + skip, expected.back().data() + margin + skip);
    }
    const DeviceArray<float> y(blank);
    const DeviceArray<std::int32_t> device_prefix(prefix);
    const DeviceArray<NoiseRow> device_rows(rows);
    const DeviceArray<std::int8_t> device_bytes(
        std::vector<std::int8_t>(elements % 4 == 0 ? count + 4 : 0, byte_sentinel));
    Int8Target target{.real = y.data() + margin + skip, .inverse_scale = inverse_scale};
    if (elements % 4 == 0) {
      target.bytes = device_bytes.data();
      for (std::size_t i = 0; i < count; ++i) {
        const float scaled = expected[0][margin + skip + i] * inverse_scale;
        expected_bytes.push_back(
            static_cast<std::int8_t>(std::nearbyint(std::clamp(scaled, -127.0f, 127.0f))));
      }
      expected_bytes.resize(count + 4, byte_sentinel);
    }
    prepare_lattice_noise(test_stream().native())
        ->add(params, device_rows.data(), std::ssize(rows), elements, device_prefix.data() + skip,
              target);
    emulated = y.values();
    bytes = device_bytes.values();
  }

  bool holds() const {
    return std::ranges::all_of(expected,
                               [&](const std::vector<float>& y) {
                                 return reference::bits(y) == reference::bits(emulated);
                               }) &&
           bytes == expected_bytes;
  }
};

TEST_CASE("the emulated noise on a lattice has the bits of every instruction set") {
  const std::vector<NoiseRow> rows = {{0, 3, 5}, {1, 4, 0xffffffff}, {0, 0xffffffff, 0}};
  std::mt19937 random(5);
  std::vector<std::int32_t> prefix(2 * 1500 + 3);
  for (auto& n : prefix) n = static_cast<std::int32_t>(random() % (1u << 24)) - (1 << 23);
  prefix[0] = most_lattice_steps, prefix[1] = -most_lattice_steps, prefix[2] = 0;
  prefix[4] = 1 << cell_bits, prefix[5] = (1 << cell_bits) - 1, prefix[6] = -(1 << cell_bits);
  for (const NoiseDistribution law : both_laws)
    for (const float slope : {1.0f, 0.0f, 0.1f, -0.5f})
      for (const std::int64_t elements : {1, 3, 4, 7, 127, 128, 129, 784, 1023, 1024, 1028, 1500})
        for (const std::size_t skip : {0, 3}) {
          CAPTURE(elements);
          CAPTURE(slope);
          CAPTURE(skip);
          REQUIRE(LatticeParity(lattice_params(law, slope), rows, prefix, elements, skip).holds());
        }
}

TEST_CASE("at the edges of cells and far out the emulated cells are the processor's") {
  const std::vector<NoiseRow> rows = {{0, 3, 5}, {1, 4, 6}};
  for (const NoiseDistribution law : both_laws) {
    const NoiseParams params = lattice_params(law);
    for (const std::int64_t elements : {64, 20'001}) {
      std::vector<std::int32_t> prefix;
      for (const NoiseRow& row : rows)
        std::ranges::copy(reference::steps_at_edges(params, row, elements),
                          std::back_inserter(prefix));
      CHECK(LatticeParity(params, rows, prefix, elements).holds());
    }
  }
}

TEST_CASE("schedules and segments make no difference to the noise on a lattice") {
  std::vector<NoiseRow> rows;
  for (std::uint32_t i = 0; i < 21; ++i) rows.push_back({i % 2, i / 5, i % 5});
  std::vector<std::int32_t> prefix(2 * 1100);
  for (std::size_t i = 0; i < prefix.size(); ++i) prefix[i] = static_cast<std::int32_t>(i) * 12'345;
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(schedule);
    for (const NoiseDistribution law : both_laws)
      CHECK(LatticeParity(lattice_params(law, 0.0f), rows, prefix, 1100).holds());
  }
  const std::int64_t elements = 1024 * NoiseGrid::segment_elements + 1030;
  CHECK(LatticeParity(lattice_params(NoiseDistribution::laplace), {{0, 1, 2}},
                      std::vector<std::int32_t>(static_cast<std::size_t>(elements)), elements)
            .holds());
}

TEST_CASE("noise on a lattice goes where it is told to, or says why not") {
  const auto noise = prepare_lattice_noise(test_stream().native());
  const NoiseParams params = lattice_params(NoiseDistribution::gaussian);
  const auto add = [&](const NoiseParams& p, std::int64_t elements, const Int8Target& target) {
    noise->add(p, nullptr, 1, elements, nullptr, target);
  };
  alignas(4) std::int8_t bytes[8] = {};
  CHECK_FAILS(add(params, 4, {}), "nowhere");
  CHECK_FAILS(add(params, 6, {.bytes = bytes}), "no multiples of 4");
  CHECK_FAILS(add(params, 4, {.bytes = bytes + 2}), "aligned to 4");
  NoiseParams none = params;
  none.distribution = NoiseDistribution::none;
  CHECK_FAILS(add(none, 4, {.bytes = bytes}), "Gaussian or Laplace");
  none = params;
  none.scale = -1.0f;
  CHECK_FAILS(add(none, 4, {.bytes = bytes}), "noise scale of -1");
  CHECK_NOTHROW(noise->add(params, nullptr, 0, 4, nullptr, {}));
  CHECK_NOTHROW(add(params, 0, {}));
}

TEST_CASE("every pointer of the noise on a lattice may lie at any element") {
  const std::vector<NoiseRow> rows = {{0, 1, 2}, {1, 3, 4}};
  std::vector<std::int32_t> prefix(2 * 24);
  for (std::size_t i = 0; i < prefix.size(); ++i) prefix[i] = static_cast<std::int32_t>(i) * 54'321;
  moved::check("noise on a lattice", {rows, prefix, moved::floats(2 * 24)},
               [](const Stream& s, const Pointers& p) {
                 const NoiseRow* const of_rows = p[0];
                 const std::int32_t* const steps = p[1];
                 float* const y = p[2];
                 prepare_lattice_noise(s.native())
                     ->add(lattice_params(NoiseDistribution::gaussian), of_rows, 2, 24, steps,
                           {.real = y});
               });
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
