#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "engine/error.hpp"
#include "pixeldp/calibration.hpp"
#include "pixeldp/sensitivity.hpp"
#include "pixeldp/singular_value.hpp"
#include "tests/margins/check_margin.hpp"
#include "tests/margins/exact.hpp"

/// Scales of noise and sensitivities against 50 digits: never below the true ones.

namespace pixeldp::margins {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

/// The least float that is at least the true scale and 12 units more; the next one is allowed
/// within 20.
void check_scale(Mechanism mechanism, double bound, double epsilon, double delta,
                 double sensitivity) {
  CAPTURE(bound);
  CAPTURE(epsilon);
  CAPTURE(delta);
  CAPTURE(sensitivity);
  const double scale = noise_scale_for(mechanism, bound, epsilon, delta, sensitivity);
  const exact::Around truth = exact::noise_scale(mechanism, bound, epsilon, delta, sensitivity);
  const auto as_float = static_cast<float>(scale);
  CHECK(static_cast<double>(as_float) == scale);
  CHECK(scale >= truth.above * (1 + 12 * unit));
  CHECK(static_cast<double>(std::nextafter(as_float, -infinity)) <= truth.below * (1 + 20 * unit));
}

TEST_CASE("the noise scale is the next float above the true one") {
  std::mt19937_64 random(12);
  const auto uniform = [&] { return static_cast<double>((random() >> 11) + 1) * 0x1p-53; };
  for (int i = 0; i < 300; ++i) {
    const double bound = uniform(), epsilon = uniform(), delta = uniform(), s = 4 * uniform();
    check_scale(Mechanism::gaussian, bound, epsilon, delta, s);
    check_scale(Mechanism::laplace, bound, 5 * epsilon, delta, s);
  }
  for (const double delta : {std::numeric_limits<double>::denorm_min(), 1e-10, 0.5, 1 - 0x1p-53}) {
    check_scale(Mechanism::gaussian, 0.1, 1.0, delta, 1.0);
    check_scale(Mechanism::gaussian, 0.1, std::nextafter(1.0, 0.0), delta, 1.0);
    CHECK_THROWS_AS(noise_scale_for(Mechanism::gaussian, 0.1, std::nextafter(1.0, 2.0), delta, 1.0),
                    Error);
  }
}

TEST_CASE("noise scales whose computation is rounded down to a float, or underflows") {
  // 1 + 2^-53 (1 - 2^-7 + ...), which is 1 in doubles.
  check_scale(Mechanism::laplace, 1 + 0x1p-30, 1.0, 0.0, 1 - 0x1p-30 + 0x1p-53);
  // Floats themselves: the margin makes the next one of them.
  CHECK(noise_scale_for(Mechanism::laplace, 0.25, 1.0, 0.0, 2.0) ==
        static_cast<double>(std::nextafter(0.5f, infinity)));
  for (const double tiny : {1e-38, 3e-39, 1e-45, 1e-60, 1e-310})
    check_scale(Mechanism::laplace, tiny, 1.0, 0.0, 1.0);
  // Products that doubles cannot hold on the way to a scale that they can.
  check_scale(Mechanism::laplace, 1e-160, 1e-300, 0.0, 1e-160);
  check_scale(Mechanism::laplace, 1e-200, 1e-300, 0.0, 1.1e-120);
  check_scale(Mechanism::laplace, 1e-200, 1.0, 0.0, 1e-200);
  check_scale(Mechanism::gaussian, 1e-200, 1e-300, 0.05, 1e-130);
  check_scale(Mechanism::laplace, 1e200, 1e300, 0.0, 1e120);
  CHECK_THROWS_AS(noise_scale_for(Mechanism::laplace, 1e30, 1.0, 0.0, 1e9), Error);
  CHECK_THROWS_AS(noise_scale_for(Mechanism::laplace, 1e300, 1.0, 0.0, 1e300), Error);
}

constexpr std::size_t one = 0, two = 1, inf = 2;

/// A first value and many that an addition to it loses, each less than half of its last place.
std::vector<float> lost_in_sums(std::size_t count) {
  std::vector<float> values(count, 0x1.8p-54f);
  values[0] = 1.0f;
  return values;
}

/// The same for sums of squares.
std::vector<float> lost_in_squares(std::size_t count) {
  std::vector<float> values(count, 0x1.6p-27f);
  values[0] = 1.0f;
  return values;
}

TEST_CASE("sensitivities are not below sums whose every addition is rounded down") {
  for (const std::size_t count : {1u, 2u, 100u, 1000u, 5000u}) {
    CAPTURE(count);
    const auto n = static_cast<std::int64_t>(count);
    const double margin = static_cast<double>(2 * n + 40) * 2 * unit;
    const std::vector<float> sums = lost_in_sums(count), squares = lost_in_squares(count);
    const exact::Around sum = exact::one_norm(sums), root = exact::two_norm(squares);
    for (const SensitivityForm form : {SensitivityForm::faithful, SensitivityForm::tight}) {
      // One input with many outputs, and one output of many inputs.
      const ConvGeometry wide{1, 1, 1, n, 1, 1, 1}, deep{1, 1, n, 1, 1, 1, 1};
      check_above(conv_norms(sums, wide, form)[one][one], sum, 0.0, margin);
      check_above(conv_norms(sums, deep, form)[inf][inf], sum, 0.0, margin);
      check_above(conv_norms(squares, wide, form)[one][two], root, 0.0, margin);
      check_above(conv_norms(squares, deep, form)[two][inf], root, 0.0, margin);
    }
  }
}

TEST_CASE("norms of identities and products of norms are rounded up") {
  for (const std::int64_t n : {1, 2, 3, 784, 3072, 150528}) {
    const exact::Around root = exact::root(n);
    const double margin = 40 * unit * root.above;
    const NormTable identity = identity_norms(n);
    for (const double value :
         {identity[two][one], identity[inf][two], standardise_norms(n)[two][two]})
      check_above(value, root, 0.0, 3 * margin);
    CHECK(identity[inf][one] == static_cast<double>(n));
  }
  std::mt19937_64 random(13);
  for (int i = 0; i < 200; ++i) {
    NormTable a{}, b{};
    a[one][one] = static_cast<double>(random() >> 11),
    b[one][one] = static_cast<double>(random() >> 11);
    for (std::size_t r = 1; r < 3; ++r) a[one][r] = b[r][one] = std::numeric_limits<double>::max();
    const exact::Around product = exact::product(a[one][one], b[one][one]);
    check_above(compose(a, b)[one][one], product, 0.0, 40 * unit * product.above);
  }
}

TEST_CASE("bounds of singular values exceed those of matrices of rank one by 1e-7") {
  std::mt19937_64 random(14);
  const auto value = [&] {
    return static_cast<float>(static_cast<double>(random() % 2001) - 1000.5);
  };
  for (const std::size_t rows : {1u, 3u, 20u})
    for (const std::size_t cols : {1u, 2u, 30u}) {
      CAPTURE(rows);
      CAPTURE(cols);
      std::vector<float> u(rows), v(cols), matrix;
      for (float& x : u) x = value();
      for (float& x : v) x = value();
      for (const float x : u)
        for (const float y : v) matrix.push_back(x * y);  // exact: 11 bits each
      const exact::Around truth = exact::product_of_two_norms(u, v);
      const auto m = static_cast<std::int64_t>(rows), n = static_cast<std::int64_t>(cols);
      check_above(singular_value_bound(matrix, m, n), truth, 0.9e-7 * truth.below,
                  3.1e-7 * truth.below);
      // On one pixel, a kernel of 1 x 1: every frequency has this very matrix.
      check_above(polyphase_bound(matrix, m, n, 1, 1, 1, 2, 2), truth, 0.9e-7 * truth.below,
                  3.1e-7 * truth.below);
      for (const SensitivityForm form : {SensitivityForm::faithful, SensitivityForm::tight})
        CHECK(conv_norms(matrix, {1, 1, n, m, 1, 1, 1}, form)[two][two] >= truth.above);
    }
  // At a stride of s, s * s taps of one value are one row of that norm: s times it, over s.
  const std::vector<float> taps(4, 3.0f);
  CHECK(polyphase_bound(taps, 1, 1, 2, 2, 2, 4, 4) >= 6.0 * (1 + 0.9e-7));
  CHECK(polyphase_bound(taps, 1, 1, 2, 2, 2, 4, 4) <= 6.0 * (1 + 4e-7));
}

TEST_CASE("two processors' sensitivities differ by no more than 1e-9") {
  CHECK(same_but_for_rounding(1.0, 1.0));
  CHECK(same_but_for_rounding(1.0, 1 + 0.9e-9));
  CHECK_FALSE(same_but_for_rounding(1.0, 1 + 1.1e-9));
  CHECK_FALSE(same_but_for_rounding(1 + 1.1e-9, 1.0));
}

}  // namespace
}  // namespace pixeldp::margins
