#include "kernels/parseval.hpp"

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "engine/error.hpp"
#include "pixeldp/singular_value.hpp"
#include "pixeldp/weight_norms.hpp"

namespace pixeldp {
namespace {

/// kernels::parseval_project on the processor; its divergence is an Error.
void parseval_project(std::vector<float>& weight, std::int64_t rows, std::int64_t cols,
                      double scale, double step, int loops) {
  const kernels::ParsevalParams params = {rows, cols, scale, step, loops};
  std::uint64_t bad_loop = kernels::no_bad_loop;
  kernels::parseval_project(Stream(), params, weight.data(), &bad_loop);
  const std::string fault = kernels::divergence_text(bad_loop, params, "the weight");
  if (!fault.empty()) fail("{}", fault);
}

std::vector<float> random_weight(std::int64_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> weight(static_cast<std::size_t>(size));
  for (float& w : weight) w = normal(random);
  return weight;
}

// Orthonormal columns [rows][cols], rows >= cols, by Gram and Schmidt.
std::vector<double> orthonormal(std::int64_t rows, std::int64_t cols, unsigned seed) {
  const std::vector<float> start = random_weight(rows * cols, seed);
  std::vector<double> q(start.begin(), start.end());
  const auto at = [&](std::int64_t r, std::int64_t c) -> double& {
    return q[static_cast<std::size_t>(r * cols + c)];
  };
  for (std::int64_t c = 0; c < cols; ++c)
    for (int pass = 0; pass < 2; ++pass) {
      for (std::int64_t before = 0; before < c; ++before) {
        double dot = 0.0;
        for (std::int64_t r = 0; r < rows; ++r) dot += at(r, c) * at(r, before);
        for (std::int64_t r = 0; r < rows; ++r) at(r, c) -= dot * at(r, before);
      }
      double norm = 0.0;
      for (std::int64_t r = 0; r < rows; ++r) norm += at(r, c) * at(r, c);
      for (std::int64_t r = 0; r < rows; ++r) at(r, c) /= std::sqrt(norm);
    }
  return q;
}

TEST_CASE("every singular value follows s (1 + b - b s^2), and nothing else changes") {
  for (const auto& [rows, cols] :
       {std::pair<std::int64_t, std::int64_t>{5, 8}, {8, 5}, {7, 7}, {3, 150}, {1, 4}, {9, 1}})
    for (const auto& [step, loops] : {std::pair{0.0003, 10}, {0.05, 1}, {0.5, 2}, {0.05, 7}})
      for (const double scale : {1.0, 3.0}) {
        const std::int64_t n = std::min(rows, cols);
        const std::vector<double> u = orthonormal(rows, n, 1), v = orthonormal(cols, n, 2);
        const auto with_values = [&](auto value) {
          std::vector<float> w(static_cast<std::size_t>(rows * cols));
          for (std::int64_t r = 0; r < rows; ++r)
            for (std::int64_t c = 0; c < cols; ++c) {
              double sum = 0.0;
              for (std::int64_t k = 0; k < n; ++k)
                sum += u[static_cast<std::size_t>(r * n + k)] * value(k) *
                       v[static_cast<std::size_t>(c * n + k)];
              w[static_cast<std::size_t>(r * cols + c)] = static_cast<float>(sum);
            }
          return w;
        };
        const auto before = [](std::int64_t k) { return 0.2 + 0.25 * static_cast<double>(k); };
        std::vector<float> weight =
            with_values([&, divisor = scale](std::int64_t k) { return before(k) / divisor; });
        parseval_project(weight, rows, cols, scale, step, loops);
        const std::vector<float> expected =
            with_values([&, b = step, count = loops, divisor = scale](std::int64_t k) {
              double s = before(k);
              for (int i = 0; i < count; ++i) s *= 1 + b - b * s * s;
              return s / divisor;
            });
        double worst = 0.0;
        for (std::size_t i = 0; i < weight.size(); ++i)
          worst = std::max(worst, std::abs(static_cast<double>(weight[i]) - expected[i]));
        CHECK(worst < 1e-6);
      }
}

TEST_CASE("steps from a singular value of 2 to 1.01") {
  struct Row {
    double step;
    int loops, calls;
  };
  for (const Row& row : {Row{0.0003, 3, 2021}, Row{0.0003, 10, 607}, Row{0.0003, 30, 203},
                         Row{0.0003, 100, 61}, Row{0.05, 1, 34}}) {
    std::vector<float> weight = {2.0f};
    int calls = 0;
    while (weight[0] > 1.01f && calls < 5000) {
      parseval_project(weight, 1, 1, 1.0, row.step, row.loops);
      ++calls;
    }
    CHECK(calls == row.calls);
  }
}

TEST_CASE("step 0.5 is Newton-Schulz: six loops hold the faithful sensitivity at 1") {
  const ConvGeometry g{28, 28, 1, 32, 5, 5, 2};
  std::vector<float> weight = random_weight(g.weight_size(), 4);
  const double start = singular_value_bound(weight, 32, 25) * g.patch_norm();
  for (float& w : weight) w *= static_cast<float>(1.5 / start);
  const auto sensitivity = [&] { return conv_norms(weight, g, SensitivityForm::faithful)[1][1]; };
  CHECK(sensitivity() == doctest::Approx(1.5).epsilon(1e-5));
  parseval_project(weight, 32, 25, g.patch_norm(), 0.5, 6);
  CHECK(sensitivity() == doctest::Approx(1.0).epsilon(1e-5));
  CHECK(conv_norms(weight, g, SensitivityForm::tight)[1][1] <= 1.0 + 1e-5);
}

TEST_CASE("a diverging projection is refused and leaves the weight alone") {
  std::vector<float> weight = {100.0f, 0.0f, 0.0f, 1.0f};
  const std::vector<float> before = weight;
  CHECK_THROWS_WITH_AS(parseval_project(weight, 2, 2, 1.0, 0.05, 3), doctest::Contains("diverges"),
                       Error);
  CHECK(weight == before);
  CHECK_NOTHROW(parseval_project(weight, 2, 2, 1.0, 0.0001, 3));
  weight[1] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_AS(parseval_project(weight, 2, 2, 1.0, 0.05, 3), Error);
  weight = before;
  parseval_project(weight, 2, 2, 1.0, 0.05, 0);
  CHECK(weight == before);
  CHECK_THROWS_AS(parseval_project(weight, 2, 2, 0.0, 0.05, 1), Error);
  CHECK_THROWS_AS(parseval_project(weight, 2, 2, 1.0, -0.05, 1), Error);
}

TEST_CASE("normalised columns and rows have norm 1") {
  const ConvGeometry g{16, 16, 3, 8, 5, 5, 2};
  std::vector<float> weight = random_weight(g.weight_size(), 6);
  const std::vector<float> before = weight;
  normalise_columns(Stream(), weight, g, Mechanism::laplace);
  const NormTable l1 = conv_norms(weight, g, SensitivityForm::faithful);
  CHECK(l1[0][0] == doctest::Approx(1.0).epsilon(1e-6));
  normalise_columns(Stream(), weight, g, Mechanism::gaussian);
  CHECK(conv_norms(weight, g, SensitivityForm::faithful)[0][1] ==
        doctest::Approx(1.0).epsilon(1e-6));
  // Every input channel has it, not just the largest, and directions stay.
  for (std::int64_t i = 0; i < 3; ++i) {
    double squares = 0.0, ratio = 0.0;
    for (std::int64_t o = 0; o < 8; ++o)
      for (std::int64_t t = 0; t < 25; ++t) {
        const auto at = static_cast<std::size_t>((o * 3 + i) * 25 + t);
        squares += static_cast<double>(weight[at]) * weight[at];
        if (ratio == 0.0) ratio = static_cast<double>(weight[at]) / before[at];
        CHECK(weight[at] == doctest::Approx(ratio * before[at]).epsilon(1e-5));
      }
    CHECK(squares == doctest::Approx(1.0).epsilon(1e-6));
  }
  normalise_rows(Stream(), weight, g);
  for (std::size_t o = 0; o < 8; ++o) {
    double sum = 0.0;
    for (std::size_t k = 0; k < 75; ++k) sum += std::abs(weight[o * 75 + k]);
    CHECK(sum == doctest::Approx(1.0).epsilon(1e-6));
  }
  std::vector<float> zeros(static_cast<std::size_t>(g.weight_size()), 0.0f);
  normalise_columns(Stream(), zeros, g, Mechanism::gaussian);
  for (const float w : zeros) CHECK(w == 0.0f);
  CHECK_THROWS_AS(normalise_columns(Stream(), weight, g, Mechanism::none), Error);
  weight.pop_back();
  CHECK_THROWS_AS(normalise_rows(Stream(), weight, g), Error);
}

}  // namespace
}  // namespace pixeldp
