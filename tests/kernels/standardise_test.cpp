#include "kernels/standardise.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include "tests/kernels/cuda/batch_norm_run.cuh"
#include "tests/reference/values.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp::kernels {
namespace {

std::vector<float> standardised(std::int64_t images, const std::vector<float>& x) {
  std::vector<float> y(x.size());
  standardise(Stream(), images, std::ssize(x) / images, x.data(), y.data());
  return y;
}

std::vector<float> gradient(std::int64_t images, const std::vector<float>& x,
                            const std::vector<float>& dy) {
  std::vector<float> dx(x.size());
  standardise_backward(Stream(), images, std::ssize(x) / images, x.data(), dy.data(), dx.data());
  return dx;
}

/// An image of reals, `width` wide around `centre`.
std::vector<float> image(std::int64_t values, float centre, float width, std::uint64_t seed) {
  auto x = reference::reals(values, seed);
  for (float& value : x) value = centre + width * value;
  return x;
}

TEST_CASE("an image is standardised by the mean and deviation of all its values") {
  // Mean 3, deviation 2.
  CHECK(standardised(1, {1, 5, 1, 5}) == std::vector<float>{-1, 1, -1, 1});
  // Deviation 0.25, below 1 / sqrt(4); and none at all.
  CHECK(standardised(1, {0.75f, 1.25f, 0.75f, 1.25f}) == std::vector<float>{-0.5, 0.5, -0.5, 0.5});
  CHECK(standardised(2, {7, 7, 7, 7, 0, 0, 0, 0}) == std::vector<float>(8, 0.0f));
  CHECK(standardised(1, {42}) == std::vector<float>{0});

  for (const std::int64_t n : {5, 33, 784, 3072}) {
    const auto x = image(n, 0.3f, 0.7f, static_cast<std::uint64_t>(n));
    long double mean = 0, squares = 0;
    for (const float v : x) mean += static_cast<long double>(v) / static_cast<long double>(n);
    for (const float v : x) squares += (v - mean) * (v - mean);
    const long double deviation = std::sqrt(squares / static_cast<long double>(n));
    REQUIRE(deviation > 1 / std::sqrt(static_cast<long double>(n)));
    const auto y = standardised(1, x);
    for (std::size_t i = 0; i < x.size(); ++i)
      CHECK(std::abs(y[i] - static_cast<double>((x[i] - mean) / deviation)) <= 0x1p-23);
  }
}

TEST_CASE("an image is standardised alike whatever its neighbours") {
  auto x = reference::reals(3 * 50, 1);
  const auto y = standardised(3, x);
  CHECK(standardised(1, {x.begin() + 50, x.begin() + 100}) ==
        std::vector<float>(y.begin() + 50, y.begin() + 100));
}

TEST_CASE("the gradient of standardising, where the deviation counts and where it is the least") {
  constexpr std::int64_t n = 60;
  const auto dy = reference::reals(n, 9);
  for (const float width : {1.0f, 0.01f}) {
    CAPTURE(width);
    const auto x = image(n, 0.5f, width, 3);
    const auto dx = gradient(1, x, dy);
    const auto objective = [&](std::vector<float> at, std::size_t i, float h, double& actual_h) {
      const float before = at[i];
      at[i] += h;
      actual_h = double{at[i]} - before;
      const auto y = standardised(1, at);
      double sum = 0.0;
      for (std::size_t j = 0; j < y.size(); ++j) sum += double{y[j]} * dy[j];
      return sum;
    };
    const float h = width / 64;
    for (std::size_t i = 0; i < x.size(); i += 7) {
      double up = 0.0, down = 0.0;
      const double difference = objective(x, i, h, up) - objective(x, i, -h, down);
      CHECK(dx[i] == doctest::Approx(difference / (up - down)).epsilon(2e-3).scale(1.0));
    }
  }
}

TEST_CASE("emulated standardising and its gradient have the processor's bits") {
  for (const emulated::Schedule& schedule : emulated::adversarial_schedules) {
    CAPTURE(schedule.name());
    const emulated::WithSettings with(schedule);
    for (const auto& [images, values] : standardise_shapes) {
      CAPTURE(images);
      CAPTURE(values);
      StandardiseCase expected = StandardiseCase::reals(images, values);
      run_on_processor(expected);
      for (const std::size_t offset : {0, 1}) {
        StandardiseCase c = StandardiseCase::reals(images, values);
        emulated::run(c, offset);
        CHECK(c.y == expected.y);
        CHECK(c.dx == expected.dx);
      }
    }
  }
}

TEST_CASE("the blocks of standardising") {
  CHECK(StandardiseGrid::plan(0).blocks == 0);
  CHECK(StandardiseGrid::plan(16).blocks == 4);
  CHECK(StandardiseGrid::plan(17).blocks == 5);
  CHECK_FAILS(StandardiseGrid::plan(std::int64_t{1} << 40), "one launch");
}

}  // namespace
}  // namespace pixeldp::kernels
