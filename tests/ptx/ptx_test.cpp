#include <array>
#include <bit>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cpu/simd.hpp"
#include "kernels/emulator/settings.hpp"
#include "tests/ptx/on_device.hpp"
#include "tests/reference/values.hpp"

/// The kernels as nvcc compiled them, on a GPU or in an interpreter of PTX, against the processor's
/// kernels and against the emulator.
namespace pixeldp::kernels {
namespace {

/// GPUs and the emulator make one kind of not-a-number (CUDA C++ Programming Guide, "Floating-Point
/// Standard": 0x7fffffff); an interpreter may leave the payload to its processor.
std::vector<std::uint32_t> canonical(Probe probe, std::vector<std::uint32_t> words) {
  if (probe != Probe::arithmetic && probe != Probe::conversions) return words;
  for (std::uint32_t& word : words)
    if ((word & 0x7fffffffu) > 0x7f800000u) word = 0x7fffffffu;
  return words;
}

TEST_CASE("there is a device, and the emulator agrees that there is") {
  REQUIRE(cuda::has_device());
  CHECK(emulated::has_device());
}

TEST_CASE("compiled noise has the bits of the processor's, and nothing else is written") {
  const std::vector<NoiseRow> rows = {{0, 3, 5}, {1, 4, 0xffffffff}, {0, 0xffffffff, 0}};
  NoiseCase noise;
  noise.rows = rows;
  noise.prefix = reference::awkward_values(2 * 1028 + 3);
  noise.params.scale = 0.37f;
  noise.params.seed = 0x0123456789abcdef;
  for (const NoiseDistribution distribution :
       {NoiseDistribution::none, NoiseDistribution::gaussian, NoiseDistribution::laplace}) {
    for (const float slope : {1.0f, 0.0f, -0.5f}) {
      for (const std::int64_t elements : {1, 7, 128, 129, 1028}) {
        for (const std::size_t skip : {0, 3}) {
          CAPTURE(elements);
          CAPTURE(slope);
          CAPTURE(skip);
          noise.params.distribution = distribution;
          noise.params.activation = {slope};
          noise.elements = elements;
          noise.skip = skip;
          std::vector<float> expected = noise.blank();
          cpu::add_noise(cpu::InstructionSet::plain, noise.params, rows.data(), std::ssize(rows),
                         elements, noise.prefix.data() + skip,
                         expected.data() + NoiseCase::margin + skip);
          REQUIRE(reference::bits(cuda::run(noise)) == reference::bits(expected));
          REQUIRE(reference::bits(emulated::run(noise)) == reference::bits(expected));
        }
      }
    }
  }
}

TEST_CASE("instructions do the same in the emulator and compiled") {
  std::mt19937 random(11);
  for (int trial = 0; trial < 20; ++trial) {
    std::vector<std::uint32_t> inputs(probe_inputs);
    for (std::uint32_t& word : inputs) word = static_cast<std::uint32_t>(random());
    if (trial % 2 == 1) {
      // Words at the edges: zeros, infinities, the smallest and largest numbers, ties of rounding.
      const std::uint32_t edges[] = {0,          0x80000000, 0x7f800000, 0xff800000, 0x00000001,
                                     0x007fffff, 0x00800000, 0x7f7fffff, 0x3f808000, 0x3f818000,
                                     0x3f801000, 0x3f803000, 0x7fc00000, 0xffffffff, 0x3f800000};
      for (std::uint32_t& word : inputs)
        if (random() % 2) word = edges[random() % std::size(edges)];
    }
    for (const Probe probe : probes) {
      CAPTURE(static_cast<int>(probe));
      const auto compiled = canonical(probe, cuda::run(probe, inputs));
      for (const emulator::Schedule& schedule : emulator::adversarial_schedules) {
        const emulator::WithSettings with(schedule);
        REQUIRE(canonical(probe, emulated::run(probe, inputs)) == compiled);
      }
    }
  }
}

TEST_CASE("a pipelined tensor-core product does the same in the emulator and compiled") {
  std::mt19937 random(3);
  const auto integers = [&](int count) {
    std::vector<std::uint16_t> values;
    for (int i = 0; i < count; ++i) {
      const auto number = static_cast<float>(static_cast<int>(random() % 9) - 4);
      values.push_back(static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(number) >> 16));
    }
    return values;
  };
  for (const auto& [m, n, k] : {std::array{100, 72, 104}, std::array{65, 1, 8}}) {
    const Gemm gemm = {m, n, k, integers(m * k), integers(n * k)};
    const std::vector<float> c = cuda::run(gemm);
    CHECK(c == emulated::run(gemm));
    const auto number = [](std::uint16_t bf16) {
      return std::bit_cast<float>(std::uint32_t{bf16} << 16);
    };
    for (int i = 0; i < m; ++i) {
      for (int j = 0; j < n; ++j) {
        float sum = 0.0f;
        for (int l = 0; l < k; ++l)
          sum += number(gemm.a[static_cast<std::size_t>(i * k + l)]) *
                 number(gemm.b[static_cast<std::size_t>(j * k + l)]);
        REQUIRE(c[static_cast<std::size_t>(i * n + j)] == sum);
      }
    }
  }
}

}  // namespace
}  // namespace pixeldp::kernels
