#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "engine/error.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/draw_statistics.hpp"
#include "kernels/draw_statistics.hpp"
#include "tests/emulator/device_array.hpp"

namespace pixeldp::kernels::emulated {
namespace {

struct Statistics {
  std::vector<std::uint64_t> votes, sums, squares;
  bool operator==(const Statistics&) const = default;
};

struct Problem {
  DrawStatisticsParams params;
  std::int64_t images = 1;
  std::vector<float> features, weight, bias;
  std::vector<std::int64_t> row_image;

  Problem(std::int64_t rows, std::int64_t width, std::int64_t classes, std::int64_t image_count,
          unsigned seed = 1)
      : params{rows, width, classes}, images(image_count) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto fill = [&](std::vector<float>& values, std::int64_t count, float scale) {
      for (std::int64_t i = 0; i < count; ++i) values.push_back(scale * normal(random));
    };
    fill(features, rows * width, 1.0f);
    fill(weight, classes * width, 3.0f / std::sqrt(static_cast<float>(width + 1)));
    fill(bias, classes, 3.0f);
    for (std::int64_t i = 0; i < rows; ++i) row_image.push_back(i * images / rows);
  }

  /// What the processor adds to statistics that hold something already; a bad row is left out.
  Statistics on_processor(const float* given_bias) const {
    Statistics s = before();
    try {
      kernels::draw_statistics(pixeldp::Stream(), params, features.data(), weight.data(),
                               given_bias, row_image.data(), s.votes.data(), s.sums.data(),
                               s.squares.data());
    } catch (const Error&) {
    }
    return s;
  }
  Statistics on_processor() const { return on_processor(bias.data()); }

  /// The same from the emulated kernel, `bad_row` with it; checks that nothing else was written.
  Statistics on_device(std::uint64_t& bad_row, bool with_bias = true) const {
    const DeviceArray<float> x(features), w(weight), b(bias);
    const DeviceArray<std::int64_t> image(row_image);
    const Statistics start = before();
    const DeviceArray<std::uint64_t> votes(fenced(start.votes)), sums(fenced(start.sums)),
        squares(fenced(start.squares));
    const DeviceArray<std::uint64_t> status(std::vector<std::uint64_t>{no_bad_row});
    kernels::draw_statistics(test_stream(), params, x.data(), w.data(),
                             with_bias ? b.data() : nullptr, image.data(), votes.data() + fence,
                             sums.data() + fence, squares.data() + fence, status.data());
    bad_row = status.values()[0];
    return {inside(votes), inside(sums), inside(squares)};
  }
  Statistics on_device() const {
    std::uint64_t bad_row = 0;
    const Statistics result = on_device(bad_row);
    CHECK(bad_row == no_bad_row);
    return result;
  }

 private:
  static constexpr std::size_t fence = 16;
  static constexpr std::uint64_t sentinel = 0xfeedfacecafebeef;

  Statistics before() const {
    std::vector<std::uint64_t> values(static_cast<std::size_t>(images * params.classes));
    std::iota(values.begin(), values.end(), std::uint64_t{1} << 40);
    return {values, values, values};
  }
  static std::vector<std::uint64_t> fenced(const std::vector<std::uint64_t>& values) {
    std::vector<std::uint64_t> result(values.size() + 2 * fence, sentinel);
    std::copy(values.begin(), values.end(), result.begin() + fence);
    return result;
  }
  static std::vector<std::uint64_t> inside(const DeviceArray<std::uint64_t>& array) {
    const std::vector<std::uint64_t> values = array.values();
    for (std::size_t i = 0; i < fence; ++i) {
      REQUIRE(values[i] == sentinel);
      REQUIRE(values[values.size() - 1 - i] == sentinel);
    }
    return {values.begin() + fence, values.end() - fence};
  }
};

/// Rows of width 1 that all have the given logits.
Problem given_logits(const std::vector<float>& logits, std::int64_t rows = 1) {
  Problem problem(rows, 1, static_cast<std::int64_t>(logits.size()), 1);
  std::fill(problem.features.begin(), problem.features.end(), 1.0f);
  problem.weight = logits;
  std::fill(problem.bias.begin(), problem.bias.end(), 0.0f);
  return problem;
}

TEST_CASE("emulated draw statistics are the processor's integers, for any size") {
  for (const std::int64_t width : {0, 1, 15, 16, 17, 100}) {
    for (const std::int64_t classes : {1, 2, 5, 10, 11, 16, 17, 33}) {
      for (const std::int64_t rows : {1, 3, 4, 9, 34}) {
        CAPTURE(width);
        CAPTURE(classes);
        CAPTURE(rows);
        const Problem problem(rows, width, classes, std::min<std::int64_t>(rows, 3));
        REQUIRE(problem.on_device() == problem.on_processor());
      }
    }
  }
}

TEST_CASE("emulated draw statistics of many classes, in every shape of block") {
  for (const std::int64_t classes : {128, 129, 1000, 1024, 1025, 4096}) {
    CAPTURE(classes);
    const Problem problem(6, 20, classes, 2);
    REQUIRE(problem.on_device() == problem.on_processor());
  }
}

TEST_CASE("emulated draw statistics: the logits of two rows lie in different banks") {
  Settings counting = settings();
  counting.count_bank_conflicts = true;
  const WithSettings with(counting);
  for (const std::int64_t classes : {10, 16, 100, 1000, 4096}) {
    CAPTURE(classes);
    reset_bank_tally();
    Problem(8, 3, classes, 1).on_device();
    const std::int64_t turns = (classes + 15) / 16;
    CHECK(bank_tally().phases == static_cast<std::uint64_t>(8 / 2 * 4 * turns));
    CHECK(bank_tally().conflicts == 0);
  }
}

TEST_CASE("emulated draw statistics under every schedule, with images in any order") {
  Problem problem(75, 40, 10, 4);
  std::shuffle(problem.row_image.begin(), problem.row_image.end(), std::mt19937(3));
  const Statistics expected = problem.on_processor();
  for (const Schedule& schedule : adversarial_schedules) {
    CAPTURE(schedule.name());
    const WithSettings with(schedule);
    CHECK(problem.on_device() == expected);
  }
}

TEST_CASE("emulated draw statistics: padding rows count nowhere, whatever they hold") {
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(schedule);
    Problem problem(70, 20, 10, 2);
    for (std::size_t r = 0; r < 70; ++r) {
      if (r % 3 != 0 && r < 60) continue;  // the last block: nothing but padding after row 63
      problem.row_image[r] = r % 2 ? -1 : std::numeric_limits<std::int64_t>::min();
      problem.features[r * 20] = std::numeric_limits<float>::quiet_NaN();
    }
    CHECK(problem.on_device() == problem.on_processor());
    std::fill(problem.row_image.begin(), problem.row_image.end(), -1);
    CHECK(problem.on_device() == problem.on_processor());
  }
}

TEST_CASE("emulated draw statistics: the lowest index wins a tie, in whatever lane it lies") {
  for (const std::size_t first : {0, 1, 7, 15, 16, 20, 37}) {
    for (const std::size_t second : {38, 39}) {
      std::vector<float> logits(40, -1.0f);
      logits[first] = logits[second] = 2.0f;
      const Problem problem = given_logits(logits, 3);
      const Statistics result = problem.on_device();
      CHECK(result == problem.on_processor());
      CHECK(result.votes[first] == (std::uint64_t{1} << 40) + first + 3);
    }
  }
  const Problem zeros = given_logits({-1.0f, -0.0f, 0.0f});
  CHECK(zeros.on_device() == zeros.on_processor());
}

TEST_CASE("emulated draw statistics of extreme logits") {
  constexpr float huge = std::numeric_limits<float>::max();
  for (const std::vector<float>& logits : {std::vector<float>{-huge, huge, 0.0f},
                                           {-huge, -huge},
                                           {huge, huge, -huge},
                                           {0.0f, -86.0f},
                                           {0.0f, -85.9f, -87.0f},
                                           {1e-40f, -1e-40f},
                                           {0.0f, -36.7368f, -36.7369f}}) {
    const Problem problem = given_logits(logits);
    CHECK(problem.on_device() == problem.on_processor());
  }
}

TEST_CASE("emulated draw statistics: a logit that is not finite is reported by its row") {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {infinity, -infinity, std::numeric_limits<float>::quiet_NaN()}) {
    for (const Schedule& schedule : adversarial_schedules) {
      const WithSettings with(schedule);
      Problem problem(45, 20, 10, 2);
      for (const std::size_t row : {41, 6, 33}) problem.features[row * 20 + 19] = bad;
      std::uint64_t bad_row = 0;
      CHECK(problem.on_device(bad_row) == problem.on_processor());
      CHECK(bad_row == 6);
      problem.row_image[6] = -1;
      CHECK(problem.on_device(bad_row) == problem.on_processor());
      CHECK(bad_row == 33);
      std::string text;
      try {
        check_bad_row(bad_row, problem.params, problem.row_image.data());
      } catch (const Error& error) {
        text = error.what();
      }
      CHECK(text.find("row 33 of 45 (image 1)") != std::string::npos);
    }
  }
  CHECK_NOTHROW(check_bad_row(no_bad_row, {}, nullptr));
}

TEST_CASE("emulated draw statistics: no bias means a bias of zero") {
  const Problem problem(6, 33, 10, 1);
  std::uint64_t bad_row = 0;
  CHECK(problem.on_device(bad_row, false) == problem.on_processor(nullptr));
}

TEST_CASE("emulated draw statistics: empty work, and what is refused") {
  const auto call = [](std::int64_t rows, std::int64_t width, std::int64_t classes) {
    kernels::draw_statistics(test_stream(), {rows, width, classes}, nullptr, nullptr, nullptr,
                             nullptr, nullptr, nullptr, nullptr, nullptr);
  };
  CHECK_NOTHROW(call(0, 1, 1));
  CHECK_THROWS_AS(call(-1, 1, 1), Error);
  CHECK_THROWS_AS(call(1, -1, 1), Error);
  CHECK_THROWS_AS(call(1, 1, 0), Error);
  CHECK_THROWS_WITH_AS(call(1, 1, 4097),
                       "draw statistics of 4097 classes: the kernel has room for 4096", Error);
  CHECK_THROWS_AS(call(std::int64_t{1} << 40, 1, 10), Error);
}

TEST_CASE("the blocks of the draw statistics") {
  CHECK(StatisticsGrid::plan({33, 8, 10}, sm_80).blocks == 2);
  CHECK(StatisticsGrid::plan({32, 8, 128}, sm_80).blocks == 1);
  CHECK(StatisticsGrid::plan({33, 8, 1000}, sm_80).blocks == 3);
  CHECK(StatisticsGrid::plan({33, 8, 4096}, sm_80).blocks == 9);
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
