#include "tests/reference/pooling.hpp"

#include <algorithm>
#include <vector>

#include <doctest/doctest.h>
#include <omp.h>

#include "engine/error.hpp"
#include "tests/kernels/pooling_case.hpp"

namespace pixeldp::kernels {
namespace {

std::vector<float> floats(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

TEST_CASE("the global average and its gradient") {
  for (const GlobalPoolShape& s : global_pool_shapes) {
    CAPTURE(s.pixels);
    CAPTURE(s.channels);
    GlobalPoolCase c = GlobalPoolCase::integers(s);
    run_on_processor(c);
    const auto expected = reference::global_average_pool(s, c.x);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      // The sum is exact, so only the division rounds; the reference has rounded, too.
      REQUIRE(static_cast<double>(c.y[i]) == doctest::Approx(expected[i]).epsilon(1e-7));
    }
    for (std::int64_t i = 0; i < s.batch * s.pixels * s.channels; ++i) {
      const std::int64_t from = i / (s.pixels * s.channels) * s.channels + i % s.channels;
      REQUIRE(c.dx[static_cast<std::size_t>(i)] ==
              c.dy[static_cast<std::size_t>(from)] / static_cast<float>(s.pixels));
    }
  }
}

TEST_CASE("shortcuts and their gradients") {
  for (const ShortcutShape& s : shortcut_shapes) {
    CAPTURE(s.in_h);
    CAPTURE(s.in_c);
    CAPTURE(s.out_c);
    CAPTURE(s.stride);
    ShortcutCase c = ShortcutCase::integers(s);
    run_on_processor(c);
    std::vector<double> y(c.dy.size()), dx(c.x.size());
    reference::for_shortcut(s, [&](std::size_t input, std::size_t output, double weight) {
      y[output] += weight * static_cast<double>(c.x[input]);
      dx[input] += weight * static_cast<double>(c.dy[output]);
    });
    CHECK(c.y == floats(y));
    CHECK(c.dx == floats(dx));
  }
}

TEST_CASE("the extents of shortcuts, and known values") {
  CHECK(ShortcutShape{1, 5, 7, 4, 4, 2, ShortcutKind::average}.out_h() == 2);
  CHECK(ShortcutShape{1, 5, 7, 4, 4, 2, ShortcutKind::subsample}.out_h() == 3);
  CHECK(ShortcutShape{1, 5, 7, 4, 4, 2, ShortcutKind::subsample}.out_w() == 4);
  const std::vector<float> x = {1, 2, 3, 4, 5, 6, 7, 8, 9};  // 3 x 3 pixels
  std::vector<float> y(3);
  shortcut_forward(Stream(), {1, 3, 3, 1, 3, 2, ShortcutKind::average}, x.data(), y.data());
  CHECK(y == std::vector<float>{0, 3, 0});
  y.resize(12);
  shortcut_forward(Stream(), {1, 3, 3, 1, 3, 2, ShortcutKind::subsample}, x.data(), y.data());
  CHECK(y == std::vector<float>{0, 1, 0, 0, 3, 0, 0, 7, 0, 0, 9, 0});
}

TEST_CASE("the sum of two tensors, with an activation, and in place") {
  for (const float slope : {1.0f, 0.0f, 0.25f}) {
    AddCase c = AddCase::integers({slope}, 1003);
    run_on_processor(c);
    for (std::size_t i = 0; i < c.y.size(); ++i) {
      const float sum = c.a[i] + c.b[i];
      REQUIRE(c.y[i] == (sum > 0.0f ? sum : slope * sum));
    }
    std::vector<float> in_place = c.a;
    add(Stream(), c.activation, 1003, c.b.data(), in_place.data(), in_place.data());
    CHECK(in_place == c.y);
  }
}

TEST_CASE("an image's averages depend neither on the other images nor on the threads") {
  const int threads = omp_get_max_threads();
  const GlobalPoolShape shape = {20, 64, 80};
  GlobalPoolCase c;
  c.shape = shape;
  c.x = reference::reals(20 * 64 * 80, 1), c.dy = reference::reals(20 * 80, 2);
  GlobalPoolCase other = c;
  omp_set_num_threads(1);
  run_on_processor(c);
  omp_set_num_threads(3);
  run_on_processor(other);
  CHECK(other.y == c.y);
  CHECK(other.dx == c.dx);
  omp_set_num_threads(threads);
  GlobalPoolCase alone;
  alone.shape = {1, 64, 80};
  alone.x.assign(c.x.begin() + 7 * 64 * 80, c.x.begin() + 8 * 64 * 80);
  alone.dy.assign(c.dy.begin() + 7 * 80, c.dy.begin() + 8 * 80);
  run_on_processor(alone);
  CHECK(alone.y == std::vector<float>(c.y.begin() + 7 * 80, c.y.begin() + 8 * 80));
}

TEST_CASE("what pooling refuses") {
  CHECK_THROWS_AS(global_average_pool(Stream(), {1, 0, 3}, nullptr, nullptr), Error);
  CHECK_THROWS_AS(global_average_pool_backward(Stream(), {-1, 2, 3}, nullptr, nullptr), Error);
  CHECK_THROWS_AS(add(Stream(), {}, -1, nullptr, nullptr, nullptr), Error);
  const auto refused = [](const ShortcutShape& s) {
    CHECK_THROWS_AS(shortcut_forward(Stream(), s, nullptr, nullptr), Error);
    CHECK_THROWS_AS(shortcut_backward(Stream(), s, nullptr, nullptr), Error);
  };
  refused({1, 8, 8, 16, 33, 2, ShortcutKind::average});  // an odd number of channels to add
  refused({1, 8, 8, 16, 14, 2, ShortcutKind::average});
  refused({1, 1, 8, 16, 16, 2, ShortcutKind::average});  // no window fits
  refused({1, 8, 8, 16, 16, 0, ShortcutKind::average});
  refused({1, 8, 8, 0, 16, 1, ShortcutKind::subsample});
}

}  // namespace
}  // namespace pixeldp::kernels
