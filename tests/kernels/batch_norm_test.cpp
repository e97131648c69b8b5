#include "kernels/formulas/batch_norm.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <doctest/doctest.h>
#include <omp.h>

#include "engine/error.hpp"
#include "tests/kernels/batch_norm_case.hpp"

namespace pixeldp::kernels {
namespace {

using reference::Doubles;

Doubles doubles(const std::vector<float>& values) { return {values.begin(), values.end()}; }

/// The largest distance, in units of the largest expected value (or of `least_unit`).
double error(const std::vector<float>& values, const Doubles& expected, double least_unit = 1.0) {
  REQUIRE(values.size() == expected.size());
  double unit = least_unit, worst = 0.0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    unit = std::max(unit, std::abs(expected[i]));
    worst = std::max(worst, std::abs(static_cast<double>(values[i]) - expected[i]));
    if (std::isnan(values[i])) return std::numeric_limits<double>::infinity();
  }
  return worst / unit;
}

constexpr Activation activations[] = {Activation::identity(), Activation::relu(),
                                      Activation::leaky_relu(0.1f)};

TEST_CASE("batch normalisation agrees with its definition in double precision") {
  for (const std::int64_t rows : {2, 7, 8, 9, 70, 3000}) {
    for (const std::int64_t channels : {1, 3, 16, 37, 160}) {
      for (const Activation activation : activations) {
        CAPTURE(rows);
        CAPTURE(channels);
        CAPTURE(activation.slope);
        BatchNormCase c = BatchNormCase::random(rows, channels, activation);
        const BatchNormCase before = c;
        run_on_processor(c);
        const auto r = c.reference();
        const Doubles x = doubles(c.x);
        CHECK(error(c.mean, r.mean(x)) < 2e-7);
        CHECK(error(c.invstd, r.invstd(x)) < 3e-6);
        CHECK(error(c.y, r.forward(x)) < 3e-6);
        const auto gradients = r.backward(x, doubles(c.dy));
        CHECK(error(c.dx, gradients.dx) < 3e-6);
        CHECK(error(c.dgamma, gradients.dgamma) < 3e-6);
        CHECK(error(c.dbeta, gradients.dbeta) < 2e-6);
        const Doubles mean = r.mean(x), variance = r.variance(x);
        Doubles running_mean, running_variance;
        for (std::size_t i = 0; i < mean.size(); ++i) {
          running_mean.push_back(0.9 * static_cast<double>(before.running_mean[i]) + 0.1 * mean[i]);
          running_variance.push_back(0.9 * static_cast<double>(before.running_variance[i]) +
                                     0.1 * variance[i]);
        }
        CHECK(error(c.running_mean, running_mean) < 2e-7);
        CHECK(error(c.running_variance, running_variance) < 3e-7);
        Doubles inference;
        for (std::size_t i = 0; i < x.size(); ++i) {
          const std::size_t k = i % mean.size();
          inference.push_back(r.activation(
              static_cast<double>(c.gamma[k]) * (x[i] - running_mean[k]) /
                  std::sqrt(running_variance[k] + static_cast<double>(c.params.epsilon)) +
              static_cast<double>(c.beta[k])));
        }
        CHECK(error(c.y_inference, inference) < 1e-6);
      }
    }
  }
}

TEST_CASE("batch normalisation of integers with integer statistics is exact") {
  for (const std::int64_t rows : {2, 8, 64, 256, 2048}) {
    for (const std::int64_t channels : {1, 5, 16, 48}) {
      CAPTURE(rows);
      CAPTURE(channels);
      BatchNormCase c = BatchNormCase::integers(rows, channels, Activation::leaky_relu(0.5f));
      const BatchNormCase before = c;
      run_on_processor(c);
      const auto r = c.reference();
      const Doubles x = doubles(c.x);
      CHECK(doubles(c.mean) == r.mean(x));
      CHECK(doubles(c.invstd) == r.invstd(x));
      CHECK(doubles(c.y) == r.forward(x));
      const auto gradients = r.backward(x, doubles(c.dy));
      CHECK(doubles(c.dx) == gradients.dx);
      CHECK(doubles(c.dgamma) == gradients.dgamma);
      CHECK(doubles(c.dbeta) == gradients.dbeta);
      const Doubles mean = r.mean(x), variance = r.variance(x);
      for (std::size_t i = 0; i < mean.size(); ++i) {
        CHECK(static_cast<double>(c.running_mean[i]) ==
              (static_cast<double>(before.running_mean[i]) + mean[i]) / 2);
        CHECK(static_cast<double>(c.running_variance[i]) == (1.0 + variance[i]) / 2);
      }
    }
  }
}

TEST_CASE("a constant added to x changes nothing but the mean, to the last bit") {
  BatchNormCase c = BatchNormCase::random(1500, 19, Activation::relu());
  for (float& x : c.x) x = std::round(x * 256.0f) / 256.0f;  // so that the sums below are exact
  BatchNormCase shifted = c;
  for (const float shift : {1000.0f, -20000.0f}) {
    for (std::size_t i = 0; i < c.x.size(); ++i) shifted.x[i] = c.x[i] + shift;
    run_on_processor(c);
    run_on_processor(shifted);
    CHECK(shifted.invstd == c.invstd);
    for (std::size_t i = 0; i < c.mean.size(); ++i)
      CHECK(shifted.mean[i] == doctest::Approx(c.mean[i] + shift).epsilon(1e-7));
    // The mean, and with it y, is rounded to a spacing of shift * 2^-23.
    CHECK(error(shifted.y, doubles(c.y)) < std::abs(shift) * 2e-7);
  }
}

TEST_CASE("channels that are constant, or one row alone, become beta") {
  BatchNormCase c = BatchNormCase::random(333, 6, Activation::identity());
  for (std::size_t i = 0; i < c.x.size(); ++i) c.x[i] = 1234.5678f * static_cast<float>(i % 6);
  run_on_processor(c);
  for (std::size_t i = 0; i < c.x.size(); ++i) REQUIRE(c.y[i] == c.beta[i % 6]);
  c = BatchNormCase::random(1, 6, Activation::identity());
  run_on_processor(c);
  CHECK(c.y == c.beta);
  CHECK(c.mean == c.x);
  CHECK(c.dx == std::vector<float>(6, 0.0f));
  CHECK(c.dbeta == c.dy);
}

TEST_CASE("the input's gradient has no part along 1 and along xhat") {
  BatchNormCase c = BatchNormCase::random(2000, 21, Activation::leaky_relu(0.1f));
  c.params.epsilon = 1e-12f;  // xhat has variance 1 only without it
  run_on_processor(c);
  const Doubles xhat = c.reference().xhat(doubles(c.x));
  Doubles sum(21), product(21), size(21);
  for (std::size_t i = 0; i < c.x.size(); ++i) {
    const double dx = static_cast<double>(c.dx[i]);
    sum[i % 21] += dx, product[i % 21] += dx * xhat[i], size[i % 21] += std::abs(dx);
  }
  for (std::size_t i = 0; i < 21; ++i) {
    CHECK(std::abs(sum[i]) < 1e-6 * size[i]);
    CHECK(std::abs(product[i]) < 1e-6 * size[i]);
    CHECK(size[i] > 1.0);
  }
}

TEST_CASE("batch normalisation's gradients agree with finite differences of its definition") {
  BatchNormCase c = BatchNormCase::random(12, 3, Activation::leaky_relu(0.1f), 11);
  run_on_processor(c);
  reference::BatchNorm r = c.reference();
  Doubles x = doubles(c.x);
  const auto loss = [&] {
    const Doubles y = r.forward(x);
    double sum = 0.0;
    for (std::size_t i = 0; i < y.size(); ++i) sum += y[i] * static_cast<double>(c.dy[i]);
    return sum;
  };
  const auto check = [&](Doubles& values, const std::vector<float>& gradient) {
    constexpr double h = 1e-6;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double kept = values[i];
      values[i] = kept + h;
      const double up = loss();
      values[i] = kept - h;
      const double down = loss();
      values[i] = kept;
      CHECK(std::abs(static_cast<double>(gradient[i]) - (up - down) / (2 * h)) < 2e-6);
    }
  };
  check(x, c.dx);
  check(r.gamma, c.dgamma);
  check(r.beta, c.dbeta);
}

TEST_CASE("the order of the batch changes batch normalisation by rounding only") {
  BatchNormCase c = BatchNormCase::random(999, 10, Activation::relu()), reversed = c;
  for (std::size_t row = 0; row < 999; ++row) {
    std::copy_n(c.x.begin() + static_cast<std::ptrdiff_t>(row * 10), 10,
                reversed.x.begin() + static_cast<std::ptrdiff_t>((998 - row) * 10));
  }
  run_on_processor(c);
  run_on_processor(reversed);
  CHECK(reversed.mean != c.mean);  // or the test would say nothing
  CHECK(error(reversed.mean, doubles(c.mean)) < 2e-7);
  CHECK(error(reversed.invstd, doubles(c.invstd)) < 1e-6);
}

TEST_CASE("batch normalisation has the same bits for any number of threads") {
  const int threads = omp_get_max_threads();
  for (const std::int64_t channels : {16, 37}) {
    BatchNormCase expected = BatchNormCase::random(8000, channels, Activation::relu());
    REQUIRE(BatchNormOrder::make(expected.params).splits > 4);
    const BatchNormCase given = expected;
    omp_set_num_threads(1);
    run_on_processor(expected);
    for (const int count : {2, 3, 5}) {
      omp_set_num_threads(count);
      BatchNormCase c = given;
      run_on_processor(c);
      CHECK(c.results() == expected.results());
    }
    std::vector<BatchNormCase> inside(2, given);
    omp_set_num_threads(2);
#pragma omp parallel for
    for (int i = 0; i < 2; ++i) run_on_processor(inside[static_cast<std::size_t>(i)]);
    for (const BatchNormCase& c : inside) CHECK(c.results() == expected.results());
  }
  omp_set_num_threads(threads);
}

TEST_CASE("batch normalisation in place, and without what may be null") {
  const Stream stream;
  BatchNormCase c = BatchNormCase::random(100, 7, Activation::relu());
  c.gamma.clear(), c.beta.clear(), c.running_mean.clear(), c.running_variance.clear();
  BatchNormCase with = c;
  with.gamma.assign(7, 1.0f), with.beta.assign(7, 0.0f);
  run_on_processor(c);
  run_on_processor(with);
  CHECK(c.results() == with.results());

  std::vector<float> workspace(c.workspace()), in_place = c.dy, mean(7), invstd(7);
  batch_norm_backward(stream, c.params, c.x.data(), c.mean.data(), c.invstd.data(), nullptr,
                      nullptr, in_place.data(), in_place.data(), nullptr, nullptr,
                      workspace.data());
  CHECK(in_place == c.dx);
  in_place = c.x;
  batch_norm_inference(stream, c.params, in_place.data(), c.scale.data(), c.shift.data(),
                       in_place.data());
  CHECK(in_place == c.y_inference);
  in_place = c.x;
  batch_norm_forward(stream, c.params, in_place.data(), nullptr, nullptr, nullptr, nullptr,
                     mean.data(), invstd.data(), in_place.data(), workspace.data());
  CHECK(in_place == c.y);
}

TEST_CASE("what batch normalisation refuses") {
  const auto forward = [](const BatchNormParams& params) {
    batch_norm_forward(Stream(), params, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
                       nullptr, nullptr, nullptr);
  };
  CHECK_THROWS_AS(forward({.rows = 0, .channels = 3}), Error);
  CHECK_THROWS_AS(forward({.rows = 4, .channels = 0}), Error);
  CHECK_THROWS_AS(forward({.rows = std::int64_t{1} << 59, .channels = 4}), Error);
  CHECK_THROWS_AS(forward({.rows = 4, .channels = 3, .epsilon = -1e-3f}), Error);
  CHECK_THROWS_AS(forward({.rows = 4, .channels = 3, .epsilon = NAN}), Error);
  CHECK_THROWS_AS(forward({.rows = 4, .channels = 3, .momentum = 1.5f}), Error);
  CHECK_THROWS_AS(batch_norm_inference(Stream(), {.rows = -1, .channels = 3}, nullptr, nullptr,
                                       nullptr, nullptr),
                  Error);
}

TEST_CASE("the order of the sums over rows") {
  for (const std::int64_t channels : {1, 3, 4, 5, 16, 17, 32, 36, 64, 80, 160, 320, 640, 5000}) {
    for (const std::int64_t rows : {0, 1, 8, 65, 2049, 131072, 1 << 24}) {
      CAPTURE(channels);
      CAPTURE(rows);
      const BatchNormParams params = {.rows = rows, .channels = channels};
      const BatchNormOrder o = BatchNormOrder::make(params);
      CHECK(o.channel_lanes * o.row_lanes == BatchNormOrder::block_threads);
      CHECK(o.channel_lanes <= 32);
      CHECK(o.channel_tiles * o.channel_lanes * 4 >= channels);
      CHECK((o.channel_tiles - 1) * o.channel_lanes * 4 < channels);
      CHECK(o.split_rows % (o.row_lanes * BatchNormOrder::group_rows) == 0);
      CHECK(o.splits * o.split_rows >= rows);
      CHECK((o.splits - 1) * o.split_rows < std::max<std::int64_t>(rows, 1));
      CHECK(o.splits <= 512);
      CHECK(batch_norm_workspace_size(params) == 2 * channels * (o.splits + 1));
    }
  }
  // The widths of the wide ResNet leave no lane idle.
  for (const std::int64_t channels : {16, 160, 320, 640}) {
    const BatchNormOrder o = BatchNormOrder::make({.rows = 1000, .channels = channels});
    CHECK(o.channel_tiles * o.channel_lanes * 4 == channels);
  }
}

}  // namespace
}  // namespace pixeldp::kernels
