#include "kernels/noise.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <set>
#include <vector>

#include <doctest/doctest.h>
#include <omp.h>

#include "engine/error.hpp"
#include "kernels/cpu/plain.hpp"
#include "kernels/cpu/simd.hpp"
#include "kernels/cpu/simd_kernels.hpp"
#include "tests/reference/noise.hpp"

namespace pixeldp::kernels {
namespace {

using cpu::InstructionSet;

constexpr NoiseDistribution distributions[] = {NoiseDistribution::gaussian,
                                               NoiseDistribution::laplace};
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
constexpr float infinity = std::numeric_limits<float>::infinity();

NoiseParams params_of(NoiseDistribution distribution, float scale = 1.0f,
                      Activation activation = Activation::identity()) {
  NoiseParams params;
  params.distribution = distribution;
  params.scale = scale;
  params.seed = 0x0123456789abcdef;
  params.activation = activation;
  return params;
}

std::vector<InstructionSet> supported_sets() {
  std::vector<InstructionSet> sets;
  for (const InstructionSet set : cpu::instruction_sets)
    if (cpu::supported(set)) sets.push_back(set);
  return sets;
}

std::vector<std::uint32_t> bits(const std::vector<float>& values) {
  std::vector<std::uint32_t> result;
  for (const float value : values) result.push_back(std::bit_cast<std::uint32_t>(value));
  return result;
}

/// Distance in units of the last place of the exact value.
double ulps(float value, double exact) {
  if (exact == 0.0) return value == 0.0f ? 0.0 : infinity;
  int exponent = 0;
  std::frexp(exact, &exponent);
  return std::abs(static_cast<double>(value) - exact) / std::ldexp(1.0, exponent - 24);
}

/// The noise itself: scale 1, prefix 0.
std::vector<float> noise(const NoiseParams& params, const std::vector<NoiseRow>& rows,
                         std::int64_t elements, InstructionSet set = cpu::best_instruction_set()) {
  const std::vector<float> prefix(static_cast<std::size_t>(elements));
  std::vector<float> y(rows.size() * prefix.size());
  cpu::add_noise(set, params, rows.data(), static_cast<std::int64_t>(rows.size()), elements,
                 prefix.data(), y.data());
  return y;
}

/// Ordinary numbers, with some of every kind that arithmetic treats specially.
std::vector<float> awkward_values(std::size_t count) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  const float special[] = {not_a_number, infinity, -infinity, 0.0f,   -0.0f,
                           1e-40f,       -1e-40f,  3e38f,     -3e38f, -not_a_number};
  std::vector<float> values(count);
  for (float& value : values) value = random() % 8 ? normal(random) : special[random() % 10];
  return values;
}

TEST_CASE("every instruction set gives the same bits for any size, alignment and activation") {
  const std::vector<NoiseRow> rows = {{0, 3, 5}, {1, 4, 0xffffffff}, {0, 0xffffffff, 0}};
  const std::vector<std::int64_t> sizes = {0,   1,   2,   3,   4,   5,   7,   15,  16,
                                           17,  31,  33,  63,  64,  65,  79,  80,  81,
                                           191, 192, 193, 223, 383, 385, 784, 999, 16384 + 37};
  const std::vector<float> values = awkward_values(2 * 16384 + 100);
  for (const NoiseDistribution distribution : distributions) {
    for (const float slope : {1.0f, 0.0f, 0.1f, 2.0f, -0.5f}) {
      NoiseParams params = params_of(distribution, 0.37f, {slope});
      for (const std::int64_t elements : sizes) {
        std::vector<std::uint32_t> expected;
        for (const InstructionSet set : supported_sets()) {
          const auto count = static_cast<std::size_t>(3 * elements);
          std::vector<float> y(count + 3);
          cpu::add_noise(set, params, rows.data(), 3, elements, values.data() + 1, y.data() + 3);
          if (expected.empty()) expected = bits(y);
          CAPTURE(elements);
          CAPTURE(slope);
          CAPTURE(cpu::name(set));
          REQUIRE(bits(y) == expected);
        }
      }
    }
  }
}

TEST_CASE("the plain multiply-add rounds like the instruction") {
  using cpu::Plain;
  std::mt19937 random(3);
  const auto any_float = [&](int lowest, int highest) {
    const auto mantissa = static_cast<float>(random() >> 8 | 0x800000);
    const auto range = static_cast<unsigned>(highest - lowest + 1);
    const int exponent = lowest + static_cast<int>(random() % range);
    return std::ldexp(random() % 2 ? mantissa : -mantissa, exponent - 23);
  };
  const auto check = [](float a, float b, float c) {
    const Plain::Floats sum = Plain::fma(Plain::Floats{a, a, a, a}, Plain::Floats{0.0f, 1.0f, b, b},
                                         Plain::Floats{c, c, c, c});
    const float expected[] = {std::fma(a, 0.0f, c), std::fma(a, 1.0f, c), std::fma(a, b, c)};
    CAPTURE(a);
    CAPTURE(b);
    CAPTURE(c);
    for (int lane = 0; lane < 4; ++lane) {
      const float value = sum[lane];
      REQUIRE(std::bit_cast<std::uint32_t>(value) ==
              std::bit_cast<std::uint32_t>(expected[std::min(lane, 2)]));
    }
  };
  // Next to a tie of two floats, where rounding first to double precision and then to single goes
  // wrong: (1 + i u)(1 + j u) is a power of two but for its last bits, when u = 2^-23 and j is -i,
  // and c is so large that half its last place is that power of two.
  int rounded_wrong = 0;
  const auto check_tie = [&](int scale) {
    const float i = static_cast<float>(1 + random() % 12) * 0x1p-23f;
    const float a = std::ldexp(1.0f + i, scale / 2), b = std::ldexp(1.0f - i, scale - scale / 2);
    const float last_place = std::ldexp(1.0f, std::max(scale + 1, -149));
    const float c = static_cast<float>(0x800000 + random() % 0x7ffff0) * last_place;
    for (const float sign : {1.0f, -1.0f}) {
      check(sign * a, b, c);
      check(a, b, sign * c);
      const auto twice = static_cast<float>(static_cast<double>(sign * a) * static_cast<double>(b) +
                                            static_cast<double>(c));
      rounded_wrong += twice != std::fma(sign * a, b, c);
    }
  };
  for (int trial = 0; trial < 2000; ++trial) check_tie(static_cast<int>(random() % 200) - 100);
  CHECK(rounded_wrong > 500);
  // The same among the subnormal floats, whose last place is 2^-149.
  rounded_wrong = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    const float i = static_cast<float>(1 + random() % 3) * 0x1p-23f;
    const float a = (1.0f + i) * 0x1p-75f, b = (1.0f - i) * 0x1p-75f;
    const float c = static_cast<float>(0x400000 + random() % 0x300000) * 0x1p-149f;
    for (const float sign : {1.0f, -1.0f}) {
      check(sign * a, b, c);
      check(a, b, sign * c);
      rounded_wrong += static_cast<float>(static_cast<double>(sign * a) * static_cast<double>(b) +
                                          static_cast<double>(c)) != std::fma(sign * a, b, c);
    }
  }
  CHECK(rounded_wrong > 500);
  for (int trial = 0; trial < 20000; ++trial) {
    const float a = any_float(-60, 60), b = any_float(-60, 60);
    check(a, b, any_float(-120, 120));
    check(a, b, -a * b);  // all but cancels
    check(a * 0x1p-60f, b * 0x1p-60f, any_float(-149, -120));
    check(a * 0x1p60f, b * 0x1p30f, any_float(100, 127));
  }
  for (const float a : {infinity, 0.0f, -0.0f, 1.0f, -2.5f})
    for (const float b : {1.0f, 3e38f, -1e-45f})
      for (const float c : {0.0f, -0.0f, infinity, 1e-45f, -3e38f}) check(a, b, c);
}

TEST_CASE("the noise follows its definition to within a few units of the last place") {
  // 3.9 and 1.9 are the largest errors found among 2^25 elements.
  constexpr std::int64_t elements = 1 << 16;
  const std::array<std::uint64_t, 3> seeds = {0, 0x0123456789abcdef, ~std::uint64_t{0}};
  for (const NoiseDistribution distribution : distributions) {
    const double tolerance = distribution == NoiseDistribution::gaussian ? 4.0 : 2.0;
    for (const NoiseRow& row :
         {NoiseRow{0, 0, 0}, NoiseRow{0, 77, 0xffffffff}, NoiseRow{0, 0xffffffff, 123456}}) {
      NoiseParams params = params_of(distribution);
      for (const std::uint64_t seed : seeds) {
        params.seed = seed;
        const std::vector<float> z = noise(params, {row}, elements);
        double worst = 0.0;
        for (std::int64_t e = 0; e < elements; ++e) {
          const double exact =
              reference::noise(distribution, seed, params.tag, row.image, row.draw, e);
          worst = std::max(worst, ulps(z[static_cast<std::size_t>(e)], exact));
        }
        CHECK(worst <= tolerance);
        CHECK(worst > 0.5);
      }
    }
  }
}

TEST_CASE("blocks count up to 2^32") {
  for (const InstructionSet set : supported_sets()) {
    for (const NoiseDistribution distribution : distributions) {
      const NoiseParams params = params_of(distribution);
      std::vector<float> prefix(512), y(512);
      cpu::NoiseSpan span;
      span.row = {0, 9, 8};
      span.first_block = 0xffffff80;
      span.elements = 512;
      span.prefix = prefix.data();
      span.y = y.data();
      cpu::simd_kernels(set).add_noise(params, span);
      for (std::int64_t e = 0; e < 512; ++e) {
        const double exact = reference::noise(distribution, params.seed, params.tag, 9, 8,
                                              4 * std::int64_t{0xffffff80} + e);
        REQUIRE(ulps(y[static_cast<std::size_t>(e)], exact) <= 5.0);
      }
    }
  }
}

TEST_CASE("noise depends on its address only: not on the order, the batch or the threads") {
  constexpr std::int64_t elements = 1001;
  std::vector<NoiseRow> rows;
  for (std::uint32_t i = 0; i < 150; ++i) rows.push_back({0, i / 40, i % 40});
  const int threads = omp_get_max_threads();
  for (const NoiseDistribution distribution : distributions) {
    const NoiseParams params = params_of(distribution);
    omp_set_num_threads(1);
    const std::vector<float> expected = noise(params, rows, elements);
    omp_set_num_threads(3);
    CHECK(noise(params, rows, elements) == expected);
    omp_set_num_threads(threads);

    std::vector<std::size_t> order(rows.size());
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), std::mt19937(1));
    std::vector<NoiseRow> shuffled;
    for (const std::size_t i : order) shuffled.push_back(rows[i]);
    const std::vector<float> y = noise(params, shuffled, elements);
    for (std::size_t i = 0; i < order.size(); ++i) {
      const auto begin = expected.begin() + static_cast<std::ptrdiff_t>(order[i]) * elements;
      REQUIRE(std::equal(begin, begin + elements,
                         y.begin() + static_cast<std::ptrdiff_t>(i) * elements));
      if (i % 10 == 0)
        REQUIRE(
            std::equal(begin, begin + elements, noise(params, {shuffled[i]}, elements).begin()));
    }
    // A longer row begins with the same noise.
    const std::vector<float> longer = noise(params, {rows[0]}, 20000);
    CHECK(std::equal(expected.begin(), expected.begin() + elements, longer.begin()));
  }
}

TEST_CASE("no two addresses share a counter") {
  // Philox is a bijection of the counter for each key, so equal words mean an equal counter; across
  // keys, a chance meeting of two among 10^4 values of 128 bits has probability 10^-31.
  std::set<Philox::Words> seen;
  std::size_t count = 0;
  const std::uint32_t numbers[] = {0, 1, 2, 3, 255, 256, 65535, 65536, 0x7fffffff, 0xffffffff};
  for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 32})
    for (const StreamTag tag : {StreamTag::selection, StreamTag::estimation, StreamTag::training})
      for (const std::uint32_t image : numbers)
        for (const std::uint32_t draw : numbers)
          for (const std::uint32_t block : numbers) {
            seen.insert(Philox::at(seed, tag, image, draw, block));
            ++count;
          }
  CHECK(seen.size() == count);

  // The kernel uses that address: changing any part of it changes all of the noise. (Two values
  // are equal by chance once in about 10^7.)
  const NoiseParams params = params_of(NoiseDistribution::gaussian);
  const std::vector<float> z = noise(params, {{0, 5, 6}}, 512);
  const auto all_different = [&z](const std::vector<float>& other) {
    return std::equal(z.begin(), z.end(), other.begin(), std::not_equal_to<>());
  };
  CHECK(all_different(noise(params, {{0, 6, 6}}, 512)));
  CHECK(all_different(noise(params, {{0, 5, 7}}, 512)));
  CHECK(all_different(noise(params, {{0, 6, 5}}, 512)));
  NoiseParams other = params;
  other.tag = StreamTag::selection;
  CHECK(all_different(noise(other, {{0, 5, 6}}, 512)));
  other = params;
  other.seed ^= 1;
  CHECK(all_different(noise(other, {{0, 5, 6}}, 512)));
  other.seed ^= 1 ^ std::uint64_t{1} << 63;
  CHECK(all_different(noise(other, {{0, 5, 6}}, 512)));
}

TEST_CASE("rows take their prefix from their source") {
  constexpr std::int64_t elements = 70;
  std::vector<float> prefix(3 * elements);
  std::iota(prefix.begin(), prefix.end(), 0.0f);
  const NoiseRow rows[] = {{2, 1, 1}, {0, 1, 1}, {2, 8, 9}};
  std::vector<float> y(3 * elements);
  NoiseParams params = params_of(NoiseDistribution::gaussian, 0x1p-40f);
  add_noise(Stream(), params, rows, 3, elements, prefix.data(), y.data());
  for (std::int64_t e = 0; e < elements; ++e) {
    CHECK(y[static_cast<std::size_t>(e)] == doctest::Approx(2 * elements + e));
    CHECK(y[static_cast<std::size_t>(elements + e)] == doctest::Approx(e));
    CHECK(y[static_cast<std::size_t>(2 * elements + e)] == doctest::Approx(2 * elements + e));
  }
}

TEST_CASE("without noise the result is exactly the activation of the prefix") {
  const std::vector<float> prefix = awkward_values(1003);
  const NoiseRow row = {0, 1, 2};
  for (const float slope : {1.0f, 0.0f, 0.1f}) {
    std::vector<float> expected;
    for (const float x : prefix)
      expected.push_back(x > 0.0f ? x : slope == 0.0f && x < 0.0f ? 0.0f : slope * x);
    if (slope == 0.0f)  // ReLU keeps a zero's sign and what is not a number
      for (std::size_t i = 0; i < prefix.size(); ++i)
        if (!(prefix[i] < 0.0f)) expected[i] = prefix[i];
    if (slope == 1.0f) expected = prefix;
    for (NoiseParams params : {params_of(NoiseDistribution::none, 0.5f, {slope}),
                               params_of(NoiseDistribution::gaussian, 0.0f, {slope}),
                               params_of(NoiseDistribution::laplace, 0.0f, {slope})}) {
      std::vector<float> y(prefix.size());
      add_noise(Stream(), params, &row, 1, 1003, prefix.data(), y.data());
      CHECK(bits(y) == bits(expected));
    }
  }
}

TEST_CASE("the activation applies to the noisy value and lets what is not a number through") {
  const std::vector<float> prefix = awkward_values(1003);
  const NoiseRow row = {0, 1, 2};
  for (const NoiseDistribution distribution : distributions) {
    std::vector<float> noisy(prefix.size()), y(prefix.size());
    add_noise(Stream(), params_of(distribution), &row, 1, 1003, prefix.data(), noisy.data());
    for (const float slope : {0.0f, 0.1f, 3.0f}) {
      add_noise(Stream(), params_of(distribution, 1.0f, {slope}), &row, 1, 1003, prefix.data(),
                y.data());
      int seen = 0;
      for (std::size_t i = 0; i < prefix.size(); ++i) {
        if (std::isnan(prefix[i])) {
          REQUIRE(std::isnan(y[i]));
          ++seen;
        } else if (noisy[i] > 0.0f) {
          REQUIRE(y[i] == noisy[i]);
        } else {
          REQUIRE(y[i] == (slope == 0.0f ? 0.0f : slope * noisy[i]));
        }
      }
      CHECK(seen > 5);
    }
  }
}

TEST_CASE("nothing is written outside the rows") {
  constexpr float sentinel = 12345.0f;
  for (const InstructionSet set : supported_sets()) {
    for (const NoiseDistribution distribution :
         {NoiseDistribution::none, NoiseDistribution::gaussian, NoiseDistribution::laplace}) {
      for (std::size_t elements = 0; elements < 200; elements += 7) {
        const std::vector<float> prefix(elements);
        const NoiseRow rows[] = {{0, 1, 1}, {0, 1, 2}};
        constexpr std::size_t margin = 256;
        std::vector<float> y(2 * elements + 2 * margin, sentinel);
        cpu::add_noise(set, params_of(distribution), rows, 2, static_cast<std::int64_t>(elements),
                       prefix.data(), y.data() + margin);
        REQUIRE(std::count(y.begin(), y.begin() + margin, sentinel) == margin);
        REQUIRE(std::count(y.end() - margin, y.end(), sentinel) == margin);
        REQUIRE(std::count(y.begin(), y.end(), sentinel) == 2 * margin);
      }
    }
  }
}

TEST_CASE("impossible requests are refused") {
  const NoiseRow row;
  float x = 0.0f;
  const auto call = [&](float scale, std::int64_t row_count, std::int64_t elements) {
    add_noise(Stream(), params_of(NoiseDistribution::gaussian, scale), &row, row_count, elements,
              &x, &x);
  };
  CHECK_THROWS_AS(call(-1.0f, 0, 0), Error);
  CHECK_THROWS_AS(call(not_a_number, 0, 0), Error);
  CHECK_THROWS_AS(call(infinity, 0, 0), Error);
  CHECK_THROWS_AS(call(1.0f, -1, 1), Error);
  CHECK_THROWS_AS(call(1.0f, 1, -1), Error);
  const auto unknown = params_of(static_cast<NoiseDistribution>(7), 1.0f);
  CHECK_THROWS_AS(add_noise(Stream(), unknown, &row, 1, 1, &x, &x), Error);
  CHECK_THROWS_AS(call(1.0f, 0, (std::int64_t{4} << 32) + 1), Error);
  CHECK_NOTHROW(call(1.0f, 0, std::int64_t{4} << 32));
}

}  // namespace
}  // namespace pixeldp::kernels
