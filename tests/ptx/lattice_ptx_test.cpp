#include <algorithm>
#include <bit>
#include <iterator>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "tests/ptx/lattice_on_device.hpp"
#include "tests/reference/lattice.hpp"

/// Noise on a lattice as nvcc compiled it, on a GPU or in an interpreter of PTX, against the
/// emulator and the processor: every bit.
namespace pixeldp::kernels {
namespace {

constexpr NoiseDistribution compiled_laws[] = {NoiseDistribution::gaussian,
                                               NoiseDistribution::laplace};

std::vector<float> of_processor(const LatticeCase& noise) {
  std::vector<float> y(noise.rows.size() * static_cast<std::size_t>(noise.elements) + 16, 12345.0f);
  add_lattice_noise(noise.params, noise.rows.data(), std::ssize(noise.rows), noise.elements,
                    noise.prefix.data() + noise.skip, y.data() + noise.skip);
  return y;
}

TEST_CASE("the compiled noise on a lattice has the emulated bits, which are the processor's") {
  for (const NoiseDistribution law : compiled_laws)
    for (const float slope : {1.0f, 0.0f, 0.1f})
      for (const std::int64_t elements : {1, 7, 128, 1029, 2052})
        for (const std::size_t skip : {0, 3}) {
          CAPTURE(elements);
          CAPTURE(slope);
          LatticeCase noise{.params = {law, 0.37f, 7, StreamTag::selection, {slope}},
                            .rows = {{0, 3, 5}, {1, 4, 0xffffffff}, {0, 0xffffffff, 0}},
                            .prefix = std::vector<std::int32_t>(skip),
                            .elements = elements,
                            .skip = skip};
          for (const NoiseRow& row : {noise.rows[0], noise.rows[1]})
            std::ranges::copy(reference::steps_at_edges(noise.params, row, elements),
                              std::back_inserter(noise.prefix));
          const LatticeResults compiled = cuda::run(noise);
          CHECK(compiled == emulated::run(noise));
          CHECK(compiled.y == of_processor(noise));
        }
}

TEST_CASE("compiled guesses have a processor's bits, and compiled cells are a processor's") {
  LatticeParts parts{.words = {0, 1, 2, 0x7ffffffeu, 0x7fffffffu}, .steps = {}, .bits = {}};
  std::mt19937_64 random(9);
  for (int i = 0; i < 6000; ++i) parts.words.push_back(random() >> (33 + i % 30));
  for (const std::int32_t n : {0, 1, -1, 1 << cell_bits, 12'345'678, -98'765, 1 << 30, -(1 << 30)})
    for (int bit = 0; bit < 64; ++bit)
      for (const std::uint64_t sign : {std::uint64_t{0}, std::uint64_t{1} << 63})
        for (const std::uint64_t m :
             {(std::uint64_t{1} << bit) - 1, std::uint64_t{1} << bit, random()}) {
          parts.steps.push_back(n);
          parts.bits.push_back((m & ~(std::uint64_t{1} << 63)) | sign);
        }
  // Where the comparison with T(d) is decided by the last bit.
  for (const NoiseDistribution law : compiled_laws)
    for (int i = 0; i < 2000; ++i) {
      const TailTable& table = TailTable::of(law);
      const auto d = static_cast<std::int64_t>(random() % (table.cells() << cell_bits)) + 1;
      for (const std::uint64_t off : {0, 1}) {
        parts.steps.push_back(-static_cast<std::int32_t>(d & ((1 << cell_bits) - 1)));
        parts.bits.push_back(std::max(table(d), off) - off);
      }
    }
  const LatticePartResults compiled = cuda::run(parts);
  CHECK(compiled == emulated::run(parts));
  using V = cpu::Plain;
  for (std::size_t i = 0; i < parts.words.size(); ++i) {
    const V::Words v = V::Words{} + parts.words[i];
    REQUIRE(compiled.gaussian_guesses[i] ==
            std::bit_cast<std::uint32_t>(float{GaussianGuess::size<V>(v)[0]}));
    REQUIRE(compiled.laplace_guesses[i] ==
            std::bit_cast<std::uint32_t>(float{LaplaceGuess::size<V>(v)[0]}));
  }
  for (std::size_t i = 0; i < parts.bits.size(); ++i) {
    REQUIRE(compiled.gaussian_cells[i] ==
            TailTable::of(NoiseDistribution::gaussian).cell(parts.steps[i], parts.bits[i]));
    REQUIRE(compiled.laplace_cells[i] ==
            TailTable::of(NoiseDistribution::laplace).cell(parts.steps[i], parts.bits[i]));
  }
}

}  // namespace
}  // namespace pixeldp::kernels
