#include "kernels/lattice_noise.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include <boost/math/special_functions/erf.hpp>
#include <boost/multiprecision/cpp_bin_float.hpp>
#include <doctest/doctest.h>

#include "engine/error.hpp"
#include "kernels/cpu/plain.hpp"
#include "kernels/cpu/simd.hpp"
#include "kernels/formulas/lattice.hpp"
#include "kernels/formulas/special_functions.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp::kernels {
namespace {

using Exact = boost::multiprecision::cpp_bin_float_50;

constexpr NoiseDistribution lattice_laws[] = {NoiseDistribution::gaussian,
                                              NoiseDistribution::laplace};
constexpr double steps_of_scale = 1 << lattice_bits;

/// 2^63 P(|z| > 2^-20 d)
Exact exact_tail(NoiseDistribution law, std::int64_t d) {
  const Exact t = ldexp(Exact(d), -lattice_bits);
  const Exact p = law == NoiseDistribution::gaussian ? Exact(boost::math::erfc(t / sqrt(Exact(2))))
                                                     : Exact(exp(-t));
  return ldexp(p, 63);
}

/// Probabilities of the cells -reach ... reach - 1, and of all before and behind them, by the
/// table.
std::vector<double> cell_law(NoiseDistribution law, std::int64_t n, int reach) {
  const TailTable& table = TailTable::of(law);
  const auto beyond = [&](std::int64_t d) {
    return d == 0 ? 0x1p63 : static_cast<double>(table(std::abs(d)));
  };
  // Where next to nothing is left, the error of the table may exceed it.
  const auto of_units = [](double units) { return std::max(0.0, units * 0x1p-64); };
  std::vector<double> p;
  for (int cell = -reach - 1; cell <= reach; ++cell) {
    const std::int64_t from = (std::int64_t{cell} << cell_bits) - n, to = from + (1 << cell_bits);
    if (cell == -reach - 1)
      p.push_back(of_units(beyond(to)));
    else if (cell == reach)
      p.push_back(of_units(beyond(from)));
    else if (from >= 0 || to <= 0)
      p.push_back(of_units(from >= 0 ? beyond(from) - beyond(to) : beyond(to) - beyond(from)));
    else
      p.push_back(1.0 - of_units(beyond(from)) - of_units(beyond(to)));
  }
  return p;
}

/// What the theorem leaves of a probability p, at least and at most, for an attack of that size in
/// noise scales.
double least_left(NoiseDistribution law, double p, double size) {
  if (law == NoiseDistribution::gaussian)
    return 0.5 * std::erfc(-(normal_quantile(std::max(p, 1e-300)) - size) / std::sqrt(2.0));
  if (p <= 0.5) return std::exp(-size) * p;
  const double above = 1.0 - std::exp(size) * (1.0 - p);
  return above >= 0.5 ? above : std::exp(-size) / (4.0 * (1.0 - p));
}
double most_left(NoiseDistribution law, double p, double size) {
  if (law == NoiseDistribution::gaussian) return least_left(law, p, -size);
  const double below = std::exp(size) * p;
  return below <= 0.5 ? below : 1.0 - std::exp(-size) / (4.0 * p);
}

/// Of all events, ordered by Neyman and Pearson, the least that is left more than the theorem says,
/// and the most; of likely ones by what is left of their complements.
std::pair<double, double> margins(NoiseDistribution law, const std::vector<double>& here,
                                  const std::vector<double>& there, double size) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < here.size(); ++i)
    if (here[i] > 0.0 || there[i] > 0.0) order.push_back(i);
  std::ranges::sort(
      order, [&](std::size_t a, std::size_t b) { return there[a] * here[b] < there[b] * here[a]; });
  double least = 1.0, most = 0.0;
  const auto note = [&](double margin) {
    least = std::min(least, margin);
    most = std::max(most, margin);
  };
  double p = 0.0, left = 0.0;
  for (const std::size_t i : order) {
    p += here[i], left += there[i];
    if (p > 0.5) break;
    note(left - least_left(law, p, size));
  }
  p = left = 0.0;
  for (auto i = order.rbegin(); i != order.rend(); ++i) {
    p += here[*i], left += there[*i];
    if (p >= 0.5) break;
    note(most_left(law, p, size) - left);
  }
  return {least, most};
}

std::vector<cpu::InstructionSet> sets_here() {
  std::vector<cpu::InstructionSet> sets;
  for (const auto set : cpu::instruction_sets)
    if (cpu::supported(set)) sets.push_back(set);
  return sets;
}

}  // namespace

TEST_CASE("tails of the lattice's noise are those of 50 digits to within its error") {
  std::mt19937_64 random(1);
  for (const NoiseDistribution law : lattice_laws) {
    const TailTable& table = TailTable::of(law);
    const std::int64_t end = table.cells() << cell_bits;
    CHECK(exact_tail(law, end - (1 << cell_bits)) < 0.5);
    Exact worst = 0;
    for (int i = 0; i < 4000; ++i) {
      // Also where a Taylor polynomial ends, and far out.
      const auto d =
          static_cast<std::int64_t>(i % 4 == 0 ? (random() % table.cells() << cell_bits) +
                                                     (1 << (cell_bits - 1)) - i % 8 / 4
                                               : random() % end) +
          1;
      worst = std::max(worst, Exact(abs(Exact(table(d)) - exact_tail(law, d))));
    }
    CHECK(worst < lattice_error);
    CHECK(worst > 0.3);
    CHECK(table(end + 5) == 0);
    // A cell, its edges and what lies beyond the table, for one element.
    CHECK(lattice_variation(law) > static_cast<double>(table.cells()) * lattice_error * 0x1p-63);
    CHECK(lattice_variation(law) < 1e-15);
  }
  CHECK_FAILS(lattice_variation(NoiseDistribution::none), "Gaussian or Laplace");
}

TEST_CASE("guesses are off by less than they may be, whatever the bits that they do not see") {
  using V = cpu::Plain;
  const auto largest_error = [&](auto guess, NoiseDistribution law) {
    double worst = 0.0;
    int near = 0;
    for (std::uint64_t first = 1; first < (std::uint64_t{1} << 31); first += 90'001) {
      const auto v = static_cast<std::uint32_t>(first);
      const float size = decltype(guess)::template size<V>(V::Words{} + v)[0];
      const auto true_size = [&](double u) {
        if (law == NoiseDistribution::laplace) return -std::log(u);
        return -normal_quantile(0.5 * u);
      };
      if (size >= decltype(guess)::far) continue;
      ++near;
      const double d = std::nearbyint(static_cast<double>(size) * steps_of_scale);
      worst = std::max({worst, true_size(v * 0x1p-31) * steps_of_scale - d,
                        d - true_size((v + 1.0) * 0x1p-31) * steps_of_scale});
    }
    CHECK(near > 23'000);
    return worst;
  };
  CHECK(largest_error(GaussianGuess(), NoiseDistribution::gaussian) < lattice_guess);
  CHECK(largest_error(LaplaceGuess(), NoiseDistribution::laplace) < lattice_guess);
  for (std::uint32_t v = 0; v < 300'000; v += 7)
    REQUIRE(GaussianGuess::size<V>(V::Words{} + v)[0] >= GaussianGuess::far);
}

TEST_CASE("every instruction set gives the cells of the definition") {
  std::mt19937 random(5);
  std::vector<std::int32_t> prefix(2 * 20'000);
  for (auto& n : prefix) n = static_cast<std::int32_t>(random() % (1u << 24)) - (1 << 23);
  prefix[0] = most_lattice_steps, prefix[1] = -most_lattice_steps;
  const std::vector<NoiseRow> rows = {{0, 3, 5}, {1, 4, 0xffffffff}};
  for (const NoiseDistribution law : lattice_laws) {
    for (const float slope : {1.0f, 0.0f, 0.1f}) {
      const NoiseParams params{law, 0.37f, 0x123456789abcdef, StreamTag::estimation, {slope}};
      for (const std::int64_t elements : {0, 1, 3, 5, 31, 33, 64, 193, 999, 20'000}) {
        std::vector<float> expected;
        for (std::size_t r = 0; r < rows.size(); ++r)
          for (std::int64_t e = 0; e < elements; ++e) {
            const auto words = [&](std::uint32_t tag) {
              return Philox::at(params.seed, static_cast<StreamTag>(tag), rows[r].image,
                                rows[r].draw,
                                static_cast<std::uint32_t>(e / 4))[static_cast<std::size_t>(e % 4)];
            };
            const std::uint64_t bits = std::uint64_t{words(2)} << 32 | words(0x80000002);
            const std::int32_t cell = TailTable::of(law).cell(
                prefix[r * static_cast<std::size_t>(elements) + static_cast<std::size_t>(e)], bits);
            const float y = std::fma(static_cast<float>(cell), 0.37f / 16, 0.37f / 32);
            expected.push_back(y > 0.0f ? y : slope == 0.0f ? 0.0f : y * slope);
          }
        for (const auto set : sets_here()) {
          CAPTURE(cpu::name(set));
          CAPTURE(elements);
          std::vector<float> y(expected.size() + 1, 77.0f);
          cpu::add_lattice_noise(set, params, rows.data(), 2, elements, prefix.data(), y.data());
          CHECK(y.back() == 77.0f);
          y.pop_back();
          REQUIRE(y == expected);
        }
      }
    }
  }
  NoiseParams none{NoiseDistribution::none, 0.37f, 1, StreamTag::estimation, {}};
  float y = 0.0f;
  CHECK_FAILS(add_lattice_noise(none, rows.data(), 1, 1, prefix.data(), &y), "Gaussian or Laplace");
}

TEST_CASE("cells follow the definition out to the last word") {
  for (const NoiseDistribution law : lattice_laws) {
    const TailTable& table = TailTable::of(law);
    for (const std::int32_t n : {0, 1, -1, 12'345'678, -98'765}) {
      for (const std::uint64_t m : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 33,
                                    std::uint64_t{0x123456789abcdef}, (~std::uint64_t{0}) >> 1}) {
        const std::int64_t up = table.cell(n, m), down = table.cell(n, m | std::uint64_t{1} << 63);
        // The last edge that is reached, and the first that is not.
        const auto reached = [&](std::int64_t d) { return d <= 0 || m < table(d); };
        CHECK(reached((up << cell_bits) - n));
        CHECK_FALSE(reached(((up + 1) << cell_bits) - n));
        CHECK_FALSE(reached(n - (down << cell_bits)));
        CHECK(reached(n - ((down + 1) << cell_bits)));
      }
    }
    // Noise in floats ends at 6.76 scales, or 22.2.
    const double farthest = static_cast<double>(table.cell(0, 0)) / 16;
    CHECK(farthest > (law == NoiseDistribution::gaussian ? 9.0 : 43.0));
  }
}

TEST_CASE("no event tells two values apart by more than the theorem of the continuous noise says") {
  std::mt19937 random(3);
  for (const NoiseDistribution law : lattice_laws) {
    const int reach = law == NoiseDistribution::gaussian ? 180 : 800;
    for (int trial = 0; trial < 40; ++trial) {
      const auto n = static_cast<std::int64_t>(random() % 200'000) - 100'000;
      const auto change = static_cast<std::int64_t>(random() % (1u << 21));
      const auto [least, most] = margins(law, cell_law(law, n, reach),
                                         cell_law(law, n + change, reach), change / steps_of_scale);
      CAPTURE(change);
      CHECK(least > -2e-12);  // rounding of the sums, and the error of the table
      CHECK(most < 0.02);     // little is lost by cells
    }
  }
  // Two elements, and the 2-norm.
  for (int trial = 0; trial < 6; ++trial) {
    constexpr int reach = 100;
    const std::int64_t n[] = {static_cast<std::int64_t>(random() % 65536), 40'000};
    const std::int64_t change[] = {static_cast<std::int64_t>(random() % (1u << 20)),
                                   -static_cast<std::int64_t>(random() % (1u << 20))};
    std::vector<double> here, there;
    for (const double p : cell_law(NoiseDistribution::gaussian, n[0], reach))
      for (const double q : cell_law(NoiseDistribution::gaussian, n[1], reach))
        here.push_back(p * q);
    for (const double p : cell_law(NoiseDistribution::gaussian, n[0] + change[0], reach))
      for (const double q : cell_law(NoiseDistribution::gaussian, n[1] + change[1], reach))
        there.push_back(p * q);
    const double size =
        std::hypot(static_cast<double>(change[0]), static_cast<double>(change[1])) / steps_of_scale;
    const auto [least, most] = margins(NoiseDistribution::gaussian, here, there, size);
    CHECK(least > -1e-9);  // 40,000 sums, and what lies beyond 6 scales is taken together
    CHECK(most < 0.02);
  }
}

}  // namespace pixeldp::kernels
