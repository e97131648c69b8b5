#include "pixeldp/sensitivity.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "engine/error.hpp"
#include "kernels/standardise.hpp"
#include "pixeldp/singular_value.hpp"
#include "tests/reference/values.hpp"

namespace pixeldp::sensitivity_test {
namespace {

constexpr std::size_t one = 0, two = 1, inf = 2;
constexpr double infinity = std::numeric_limits<double>::infinity();

struct Dense {
  std::int64_t rows = 0, cols = 0;
  std::vector<double> values;

  double at(std::int64_t r, std::int64_t c) const {
    return values[static_cast<std::size_t>(r * cols + c)];
  }
  double& at(std::int64_t r, std::int64_t c) {
    return values[static_cast<std::size_t>(r * cols + c)];
  }
};

// The matrix of the convolution, written straight from the definition of SAME padding.
Dense matrix_of(const std::vector<float>& weight, const ConvGeometry& g) {
  const auto pad = [&](std::int64_t in, std::int64_t out, std::int64_t k) {
    return std::max<std::int64_t>((out - 1) * g.stride + k - in, 0) / 2;
  };
  const std::int64_t top = pad(g.in_h, g.out_h(), g.kernel_h);
  const std::int64_t left = pad(g.in_w, g.out_w(), g.kernel_w);
  Dense m{g.out_h() * g.out_w() * g.out_c, g.in_h * g.in_w * g.in_c, {}};
  m.values.assign(static_cast<std::size_t>(m.rows * m.cols), 0.0);
  for (std::int64_t o = 0; o < g.out_c; ++o)
    for (std::int64_t i = 0; i < g.in_c; ++i)
      for (std::int64_t y = 0; y < g.kernel_h; ++y)
        for (std::int64_t x = 0; x < g.kernel_w; ++x)
          for (std::int64_t oy = 0; oy < g.out_h(); ++oy)
            for (std::int64_t ox = 0; ox < g.out_w(); ++ox) {
              const std::int64_t iy = oy * g.stride - top + y, ix = ox * g.stride - left + x;
              if (iy < 0 || iy >= g.in_h || ix < 0 || ix >= g.in_w) continue;
              m.at((oy * g.out_w() + ox) * g.out_c + o, (iy * g.in_w + ix) * g.in_c + i) +=
                  weight[static_cast<std::size_t>(((o * g.in_c + i) * g.kernel_h + y) * g.kernel_w +
                                                  x)];
            }
  return m;
}

// |M x| / |x| after many steps of power iteration: never above the largest singular value.
double singular_value_from_below(const Dense& m, int steps = 150) {
  std::vector<double> x(static_cast<std::size_t>(m.cols)), y(static_cast<std::size_t>(m.rows));
  std::mt19937 random(5);
  for (double& v : x) v = std::uniform_real_distribution<double>(-1, 1)(random);
  double value = 0.0;
  for (int step = 0; step < steps; ++step) {
    double x_norm = 0.0, y_norm = 0.0;
    for (const double v : x) x_norm += v * v;
    for (std::int64_t r = 0; r < m.rows; ++r) {
      double sum = 0.0;
      for (std::int64_t c = 0; c < m.cols; ++c) sum += m.at(r, c) * x[static_cast<std::size_t>(c)];
      y[static_cast<std::size_t>(r)] = sum;
      y_norm += sum * sum;
    }
    value = std::sqrt(y_norm / x_norm);
    std::fill(x.begin(), x.end(), 0.0);
    for (std::int64_t r = 0; r < m.rows; ++r)
      for (std::int64_t c = 0; c < m.cols; ++c)
        x[static_cast<std::size_t>(c)] += m.at(r, c) * y[static_cast<std::size_t>(r)] / y_norm;
  }
  return value;
}

// Norms that can be computed exactly from the matrix; the others from below, by trying vectors.
NormTable true_norms(const Dense& m) {
  NormTable t{};
  for (std::int64_t c = 0; c < m.cols; ++c) {
    double sum = 0.0, squares = 0.0, largest = 0.0;
    for (std::int64_t r = 0; r < m.rows; ++r) {
      sum += std::abs(m.at(r, c));
      squares += m.at(r, c) * m.at(r, c);
      largest = std::max(largest, std::abs(m.at(r, c)));
    }
    t[one] = {std::max(t[one][one], sum), std::max(t[one][two], std::sqrt(squares)),
              std::max(t[one][inf], largest)};
  }
  for (std::int64_t r = 0; r < m.rows; ++r) {
    double sum = 0.0, squares = 0.0;
    for (std::int64_t c = 0; c < m.cols; ++c) {
      sum += std::abs(m.at(r, c));
      squares += m.at(r, c) * m.at(r, c);
    }
    t[inf][inf] = std::max(t[inf][inf], sum);
    t[two][inf] = std::max(t[two][inf], std::sqrt(squares));
  }
  t[two][two] = singular_value_from_below(m);
  // Signs: coordinate ascent of |M s|_q over s in {-1, 1}^n.
  std::mt19937 random(9);
  for (const std::size_t q : {one, two}) {
    std::vector<double> s(static_cast<std::size_t>(m.cols)), y;
    for (double& v : s) v = random() % 2 ? 1.0 : -1.0;
    for (int step = 0; step < 30; ++step) {
      y.assign(static_cast<std::size_t>(m.rows), 0.0);
      for (std::int64_t r = 0; r < m.rows; ++r)
        for (std::int64_t c = 0; c < m.cols; ++c)
          y[static_cast<std::size_t>(r)] += m.at(r, c) * s[static_cast<std::size_t>(c)];
      double norm = 0.0;
      for (const double v : y) norm += q == one ? std::abs(v) : v * v;
      t[inf][q] = std::max(t[inf][q], q == one ? norm : std::sqrt(norm));
      for (std::int64_t c = 0; c < m.cols; ++c) {
        double gradient = 0.0;
        for (std::int64_t r = 0; r < m.rows; ++r) {
          const double v = y[static_cast<std::size_t>(r)];
          gradient += m.at(r, c) * (q == one ? (v < 0 ? -1.0 : 1.0) : v);
        }
        s[static_cast<std::size_t>(c)] = gradient < 0 ? -1.0 : 1.0;
      }
    }
  }
  return t;
}

std::vector<float> random_weight(std::int64_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> weight(static_cast<std::size_t>(size));
  for (float& w : weight) w = normal(random);
  return weight;
}

const ConvGeometry geometries[] = {{8, 8, 1, 3, 3, 3, 1},   {7, 9, 2, 3, 3, 3, 1},
                                   {10, 10, 1, 4, 5, 5, 2}, {9, 12, 3, 2, 5, 5, 2},
                                   {9, 9, 2, 2, 3, 5, 3},   {12, 12, 2, 2, 10, 10, 2},
                                   {5, 5, 2, 3, 2, 2, 2},   {6, 6, 1, 2, 1, 1, 2},
                                   {4, 4, 2, 2, 5, 5, 1},   {6, 7, 1, 1, 4, 4, 5}};

TEST_CASE(
    "bounds of random convolutions lie above the norms of their matrix, tight below faithful") {
  unsigned seed = 1;
  for (const ConvGeometry& g : geometries) {
    CAPTURE(g.in_h);
    CAPTURE(g.kernel_h);
    CAPTURE(g.stride);
    const std::vector<float> weight = random_weight(g.weight_size(), seed++);
    const NormTable truth = true_norms(matrix_of(weight, g));
    const NormTable faithful = conv_norms(weight, g, SensitivityForm::faithful);
    const NormTable tight = conv_norms(weight, g, SensitivityForm::tight);
    for (std::size_t p = 0; p < 3; ++p)
      for (std::size_t q = 0; q < 3; ++q) {
        CAPTURE(p);
        CAPTURE(q);
        CHECK(tight[p][q] >= truth[p][q] * (1 - 1e-14));
        CHECK(faithful[p][q] >= tight[p][q]);
        CHECK(std::isfinite(faithful[p][q]));
      }
  }
}

TEST_CASE("the tight 2-norm of convolutions is within 25 % and the column norms are exact") {
  unsigned seed = 100;
  for (const ConvGeometry& g :
       {ConvGeometry{16, 16, 1, 3, 3, 3, 1}, ConvGeometry{14, 14, 2, 3, 3, 3, 1},
        ConvGeometry{16, 16, 1, 4, 5, 5, 2}, ConvGeometry{15, 18, 1, 2, 5, 5, 2},
        ConvGeometry{18, 18, 1, 2, 3, 3, 3}}) {
    for (const bool constant : {false, true}) {
      std::vector<float> weight = random_weight(g.weight_size(), seed++);
      if (constant) std::fill(weight.begin(), weight.end(), 0.25f);
      const NormTable truth = true_norms(matrix_of(weight, g));
      const NormTable tight = conv_norms(weight, g, SensitivityForm::tight);
      CHECK(tight[two][two] >= truth[two][two]);
      CHECK(tight[two][two] <= 1.25 * truth[two][two]);
      // Each residue class of the stride has a pixel that meets all of its taps.
      CHECK(tight[one][one] == doctest::Approx(truth[one][one]).epsilon(1e-12));
      CHECK(tight[one][two] == doctest::Approx(truth[one][two]).epsilon(1e-12));
      CHECK(tight[one][inf] == doctest::Approx(truth[one][inf]).epsilon(1e-12));
      CHECK(tight[inf][inf] == doctest::Approx(truth[inf][inf]).epsilon(1e-12));
      CHECK(tight[two][inf] == doctest::Approx(truth[two][inf]).epsilon(1e-12));
    }
  }
}

TEST_CASE("a torus of the image's own size is not enough, the padded one is") {
  int below = 0;
  for (unsigned seed = 0; seed < 300; ++seed) {
    const ConvGeometry g{5, 5, 1, 1, 3, 3, 1};
    const std::vector<float> weight = random_weight(g.weight_size(), seed);
    const double truth = singular_value_from_below(matrix_of(weight, g), 100);
    below += polyphase_bound(weight, 1, 1, 3, 3, 1, 5, 5) < truth * (1 - 1e-6);
    CHECK(conv_norms(weight, g, SensitivityForm::tight)[two][two] >= truth);
  }
  CHECK(below > 3);
  CHECK(below < 40);
}

TEST_CASE("the faithful form: the original's figures for constant and for orthonormal kernels") {
  // 2 x 2 taps of 1/2, one channel: an orthonormal row, patches without overlap at stride 2.
  const ConvGeometry g{8, 8, 1, 1, 2, 2, 2};
  const std::vector<float> half(4, 0.5f);
  const auto sensitivity = [&](const ConvGeometry& geometry, const std::vector<float>& weight,
                               AttackNorm p, Mechanism m, SensitivityForm form) {
    return sensitivity_of(conv_norms(weight, geometry, form), p, m);
  };
  for (const SensitivityForm form : {SensitivityForm::faithful, SensitivityForm::tight}) {
    CHECK(sensitivity(g, half, AttackNorm::l2, Mechanism::gaussian, form) ==
          doctest::Approx(1.0).epsilon(1e-6));
    CHECK(sensitivity(g, half, AttackNorm::l2, Mechanism::gaussian, form) >= 1.0);
  }
  CHECK(sensitivity(g, half, AttackNorm::l1, Mechanism::laplace, SensitivityForm::faithful) ==
        doctest::Approx(2.0));
  CHECK(sensitivity(g, half, AttackNorm::l1, Mechanism::laplace, SensitivityForm::tight) ==
        doctest::Approx(0.5));
  CHECK(sensitivity(g, half, AttackNorm::l1, Mechanism::gaussian, SensitivityForm::faithful) ==
        doctest::Approx(1.0));
  // 5 x 5 at stride 2: three patches a side, so three times the singular value of the rows.
  const ConvGeometry five{28, 28, 1, 1, 5, 5, 2};
  CHECK(five.patch_norm() == 3.0);
  const std::vector<float> fifth(25, 0.2f);
  CHECK(sensitivity(five, fifth, AttackNorm::l2, Mechanism::gaussian, SensitivityForm::faithful) ==
        doctest::Approx(3.0).epsilon(1e-6));
  // At frequency zero a constant kernel adds up all taps of every second row and column: 5 / 2.
  CHECK(sensitivity(five, fifth, AttackNorm::l2, Mechanism::gaussian, SensitivityForm::tight) ==
        doctest::Approx(std::sqrt(13.0 * 13.0) / 5).epsilon(1e-2));
}

TEST_CASE("singular values of known matrices, wide and tall, real and at any size") {
  for (const std::int64_t n : {1, 2, 7, 40, 120}) {
    // Reflection times diag(1 ... n): singular values 1 ... n.
    std::vector<float> v = random_weight(n, 3), m(static_cast<std::size_t>(n * (n + 5)), 0.0f);
    double norm = 0.0;
    for (const float x : v) norm += static_cast<double>(x) * x;
    std::vector<float> tall(m.size());
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < n; ++j) {
        const double reflection =
            (i == j) - 2.0 * v[static_cast<std::size_t>(i)] * v[static_cast<std::size_t>(j)] / norm;
        m[static_cast<std::size_t>(i * (n + 5) + j)] =
            static_cast<float>(reflection * static_cast<double>(j + 1));
      }
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < n + 5; ++j)
        tall[static_cast<std::size_t>(j * n + i)] = m[static_cast<std::size_t>(i * (n + 5) + j)];
    const auto largest = static_cast<double>(n);
    const double wide_bound = singular_value_bound(m, n, n + 5);
    CHECK(wide_bound >= largest * (1 - 1e-7 * std::sqrt(largest)));  // the matrix itself is rounded
    CHECK(wide_bound <= largest * (1 + 1e-6));
    CHECK(singular_value_bound(tall, n + 5, n) == doctest::Approx(wide_bound).epsilon(1e-9));
  }
  // Equal singular values are the slowest case of repeated squaring: still within 1e-6.
  std::vector<float> identity(64 * 64, 0.0f);
  for (std::size_t i = 0; i < 64; ++i) identity[i * 65] = 3.0f;
  CHECK(singular_value_bound(identity, 64, 64) >= 3.0);
  CHECK(singular_value_bound(identity, 64, 64) <= 3.0 * (1 + 1e-6));
  CHECK(singular_value_bound(std::vector<float>(12, 0.0f), 3, 4) == 0.0);
  const std::vector<float> tiny(12, 1e-38f), huge(12, 1e38f);
  CHECK(singular_value_bound(tiny, 3, 4) == doctest::Approx(std::sqrt(12.0) * 1e-38).epsilon(1e-5));
  CHECK(singular_value_bound(huge, 3, 4) == doctest::Approx(std::sqrt(12.0) * 1e38).epsilon(1e-5));
}

TEST_CASE("a kernel of one tap on one pixel: exact norms by columns and rows, bounds elsewhere") {
  for (const auto& [out, in] :
       {std::pair<std::int64_t, std::int64_t>{5, 9}, {9, 5}, {1, 6}, {30, 30}}) {
    const std::vector<float> weight = random_weight(out * in, 17);
    const Dense m{out, in, {weight.begin(), weight.end()}};
    const NormTable truth = true_norms(m);
    for (const SensitivityForm form : {SensitivityForm::faithful, SensitivityForm::tight}) {
      const NormTable norms = conv_norms(weight, {1, 1, in, out, 1, 1, 1}, form);
      for (std::size_t p = 0; p < 3; ++p)
        for (std::size_t q = 0; q < 3; ++q) CHECK(norms[p][q] >= truth[p][q] * (1 - 1e-14));
      for (const std::size_t q : {one, two, inf})
        CHECK(norms[one][q] == doctest::Approx(truth[one][q]).epsilon(1e-12));
      CHECK(norms[inf][inf] == doctest::Approx(truth[inf][inf]).epsilon(1e-12));
      CHECK(norms[two][inf] == doctest::Approx(truth[two][inf]).epsilon(1e-12));
      CHECK(norms[two][two] == doctest::Approx(truth[two][two]).epsilon(1e-3));
      CHECK(sensitivity_of(norms, AttackNorm::l2, Mechanism::laplace) == norms[two][one]);
      CHECK(sensitivity_of(norms, AttackNorm::linf, Mechanism::gaussian) == norms[inf][two]);
      CHECK(sensitivity_of(norms, AttackNorm::l1, Mechanism::gaussian) == norms[one][two]);
    }
  }
}

TEST_CASE("noise in the image") {
  const std::int64_t n = 3072;
  CHECK(identity_sensitivity(n, AttackNorm::l1, Mechanism::laplace) == 1.0);
  CHECK(identity_sensitivity(n, AttackNorm::l1, Mechanism::gaussian) == 1.0);
  CHECK(identity_sensitivity(n, AttackNorm::l2, Mechanism::gaussian) == 1.0);
  CHECK(identity_sensitivity(n, AttackNorm::l2, Mechanism::laplace) ==
        doctest::Approx(std::sqrt(3072.0)));
  CHECK(identity_sensitivity(n, AttackNorm::linf, Mechanism::gaussian) ==
        doctest::Approx(std::sqrt(3072.0)));
  CHECK(identity_sensitivity(n, AttackNorm::linf, Mechanism::laplace) == 3072.0);
  CHECK(identity_sensitivity(n, AttackNorm::linf, Mechanism::gaussian) >= std::sqrt(3072.0));
  CHECK_THROWS_AS(identity_sensitivity(n, AttackNorm::l2, Mechanism::none), Error);
}

TEST_CASE("standardised images: no pair moves further apart than the bounds, some as far") {
  constexpr std::int64_t n = 48;
  const NormTable bounds = standardise_norms(n);
  CHECK(bounds[two][two] >= std::sqrt(48.0));
  CHECK(bounds[two][two] == doctest::Approx(std::sqrt(48.0)).epsilon(1e-14));
  CHECK(bounds[inf][two] == doctest::Approx(48.0).epsilon(1e-13));
  CHECK(bounds[inf][one] == doctest::Approx(48.0 * std::sqrt(48.0)).epsilon(1e-13));
  CHECK(sensitivity_of(standardise_norms(3072), AttackNorm::l2, Mechanism::gaussian) ==
        doctest::Approx(55.4256));

  const auto norms = [](const std::vector<float>& a, const std::vector<float>& b) {
    std::array<double, 3> result{};
    for (std::size_t i = 0; i < a.size(); ++i) {
      const double d = std::abs(double{a[i]} - b[i]);
      result[one] += d, result[two] += d * d, result[inf] = std::max(result[inf], d);
    }
    result[two] = std::sqrt(result[two]);
    return result;
  };
  const auto standardised = [](const std::vector<float>& x) {
    std::vector<float> y(x.size());
    kernels::standardise(Stream(), 1, n, x.data(), y.data());
    return y;
  };
  double largest = 0.0;
  for (std::uint64_t trial = 0; trial < 600; ++trial) {
    // From nearly constant images, where the deviation is the least, to contrasty ones.
    const float contrast = std::exp2(-static_cast<float>(trial % 12));
    const float step = contrast * std::exp2(-static_cast<float>(trial / 12 % 5));
    std::vector<float> a = reference::reals(n, 2 * trial), b = reference::reals(n, 2 * trial + 1);
    if (trial % 2 == 1) {  // apart in one value only
      const float kept = b[trial % n];
      std::fill(b.begin(), b.end(), 0.0f);
      b[trial % n] = kept;
    }
    for (std::size_t i = 0; i < n; ++i) a[i] = contrast * a[i], b[i] = a[i] + step * b[i];
    const auto before = norms(a, b), after = norms(standardised(a), standardised(b));
    for (std::size_t p = 0; p < 3; ++p)
      for (std::size_t q = 0; q < 3; ++q)
        CHECK(after[q] <= bounds[p][q] * before[p] + 1e-5);  // results are rounded to fp32
    largest = std::max(largest, after[two] / before[two]);
  }
  CHECK(largest > 0.97 * std::sqrt(48.0));
}

TEST_CASE("two layers: the best path, above the norms of the product") {
  const ConvGeometry first{8, 8, 1, 2, 3, 3, 2}, second{4, 4, 2, 3, 3, 3, 1};
  const std::vector<float> a = random_weight(first.weight_size(), 31);
  const std::vector<float> b = random_weight(second.weight_size(), 32);
  const Dense ma = matrix_of(a, first), mb = matrix_of(b, second);
  Dense product{mb.rows, ma.cols, std::vector<double>(static_cast<std::size_t>(mb.rows * ma.cols))};
  for (std::int64_t r = 0; r < product.rows; ++r)
    for (std::int64_t k = 0; k < ma.rows; ++k)
      for (std::int64_t c = 0; c < product.cols; ++c) product.at(r, c) += mb.at(r, k) * ma.at(k, c);
  const NormTable truth = true_norms(product);
  const NormTable x = conv_norms(a, first, SensitivityForm::tight);
  const NormTable y = conv_norms(b, second, SensitivityForm::tight);
  const NormTable bound = compose(x, y);
  for (std::size_t p = 0; p < 3; ++p)
    for (std::size_t q = 0; q < 3; ++q) {
      CHECK(bound[p][q] >= truth[p][q]);
      double best = infinity;
      for (std::size_t r = 0; r < 3; ++r) best = std::min(best, x[p][r] * y[r][q]);
      CHECK(bound[p][q] == doctest::Approx(best).epsilon(1e-12));
    }
  CHECK(sensitivity_of(bound, AttackNorm::linf, Mechanism::gaussian) == bound[inf][two]);

  NormTable unknown;
  for (auto& row : unknown) row.fill(infinity);
  unknown[two][two] = 0.5;
  CHECK(compose(x, unknown)[one][two] == doctest::Approx(x[one][two] * 0.5));
  CHECK(std::isinf(compose(x, unknown)[one][one]));
  CHECK_THROWS_AS(sensitivity_of(compose(x, unknown), AttackNorm::l1, Mechanism::laplace), Error);
  CHECK(compose(NormTable{}, unknown)[one][one] == 0.0);
}

TEST_CASE("weights that are not finite or do not fit are refused") {
  const ConvGeometry g{8, 8, 1, 2, 3, 3, 1};
  std::vector<float> weight(18, 0.1f);
  const auto sensitivity = [&] { return conv_norms(weight, g, SensitivityForm::tight)[two][two]; };
  CHECK_NOTHROW(sensitivity());
  weight[7] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_WITH_AS(sensitivity(), doctest::Contains("weight 7"), Error);
  weight[7] = std::numeric_limits<float>::infinity();
  CHECK_THROWS_AS(sensitivity(), Error);
  weight.resize(17);
  CHECK_THROWS_AS(sensitivity(), Error);
  CHECK_THROWS_AS(parse_sensitivity_form("exact"), Error);
  for (const SensitivityForm form : {SensitivityForm::faithful, SensitivityForm::tight})
    CHECK(parse_sensitivity_form(name(form)) == form);
}

}  // namespace
}  // namespace pixeldp::sensitivity_test
