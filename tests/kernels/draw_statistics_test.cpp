#include "kernels/draw_statistics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "engine/error.hpp"
#include "kernels/cpu/simd.hpp"
#include "tests/reference/draw_statistics.hpp"

namespace pixeldp::kernels {
namespace {

using cpu::InstructionSet;

constexpr std::uint64_t one = std::uint64_t{1} << 32;

struct Statistics {
  std::vector<std::uint64_t> votes, sums, squares;
  explicit Statistics(std::int64_t entries)
      : votes(static_cast<std::size_t>(entries)), sums(votes), squares(votes) {}
  bool operator==(const Statistics&) const = default;
};

struct Problem {
  DrawStatisticsParams params;
  std::int64_t images = 1;
  std::vector<float> features, weight, bias;
  std::vector<std::int64_t> row_image;

  Problem(std::int64_t rows, std::int64_t width, std::int64_t classes, std::int64_t image_count,
          float spread = 1.0f, unsigned seed = 1)
      : params{rows, width, classes}, images(image_count) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const float weight_scale = spread / std::sqrt(static_cast<float>(width + 1));
    for (std::int64_t i = 0; i < rows * width; ++i)
      features.push_back(std::max(0.0f, normal(random)));
    for (std::int64_t i = 0; i < classes * width; ++i)
      weight.push_back(normal(random) * weight_scale);
    for (std::int64_t i = 0; i < classes; ++i) bias.push_back(normal(random) * spread);
    for (std::int64_t i = 0; i < rows; ++i) row_image.push_back(i * images / rows);
  }

  Statistics run(InstructionSet set = cpu::best_instruction_set()) const {
    Statistics result(images * params.classes);
    add(result, set);
    return result;
  }
  void add(Statistics& result, InstructionSet set = cpu::best_instruction_set()) const {
    cpu::draw_statistics(set, params, features.data(), weight.data(), bias.data(), row_image.data(),
                         result.votes.data(), result.sums.data(), result.squares.data());
  }
  /// The same problem with its rows at `order` only.
  Problem rows(const std::vector<std::size_t>& order) const {
    Problem result = *this;
    result.params.rows = static_cast<std::int64_t>(order.size());
    result.features.clear();
    result.row_image.clear();
    for (const std::size_t r : order) {
      const auto row = features.begin() + static_cast<std::ptrdiff_t>(r) * params.width;
      result.features.insert(result.features.end(), row, row + params.width);
      result.row_image.push_back(row_image[r]);
    }
    return result;
  }
};

std::uint64_t total(const std::vector<std::uint64_t>& values) {
  return std::accumulate(values.begin(), values.end(), std::uint64_t{0});
}

std::uint64_t difference(std::uint64_t a, std::uint64_t b) { return a > b ? a - b : b - a; }

/// One row of width 1 whose logits are the given ones.
Problem given_logits(const std::vector<float>& logits) {
  Problem problem(1, 1, static_cast<std::int64_t>(logits.size()), 1);
  problem.features = {1.0f};
  problem.weight = logits;
  std::fill(problem.bias.begin(), problem.bias.end(), 0.0f);
  return problem;
}

TEST_CASE("every instruction set gives the same integers for any size") {
  for (const std::int64_t width : {0, 1, 3, 15, 16, 17, 64, 100, 640, 1024}) {
    for (const std::int64_t classes : {1, 2, 3, 5, 7, 10, 16, 17, 33, 100}) {
      for (const std::int64_t rows : {1, 2, 5, 8}) {
        const Problem problem(rows, width, classes, std::min<std::int64_t>(rows, 3), 3.0f);
        const Statistics expected = problem.run(InstructionSet::plain);
        for (const InstructionSet set : cpu::instruction_sets) {
          if (!cpu::supported(set)) continue;
          CAPTURE(width);
          CAPTURE(classes);
          CAPTURE(rows);
          CAPTURE(cpu::name(set));
          REQUIRE(problem.run(set) == expected);
        }
      }
    }
  }
}

TEST_CASE("votes sum to the draws, and the scores of a draw to one") {
  for (const std::int64_t classes : {1, 2, 10, 1000}) {
    const Problem problem(12, 64, classes, 1, 4.0f);
    CHECK(total(problem.run().votes) == 12);
    for (std::size_t r = 0; r < 12; ++r) {
      const Statistics row = problem.rows({r}).run();
      CHECK(total(row.votes) == 1);
      CHECK(difference(total(row.sums), one) <= static_cast<std::uint64_t>(classes) / 2 + 1);
      for (std::size_t c = 0; c < row.sums.size(); ++c) {
        // round(p^2) from round(p), each off by at most half a unit
        const double p = static_cast<double>(row.sums[c]) * score_unit;
        REQUIRE(std::abs(static_cast<double>(row.squares[c]) - p * p / score_unit) <= 1.5 + 1e-6);
      }
    }
  }
}

TEST_CASE("scores agree with double precision") {
  // Single-precision logits of size about 10 are off by some 10^-6, and so are their exponentials.
  for (const std::int64_t width : {64, 640, 1024}) {
    for (const std::int64_t classes : {2, 10, 100, 1000}) {
      const Problem problem(3, width, classes, 3, 3.0f, 5);
      const Statistics statistics = problem.run();
      for (std::int64_t r = 0; r < 3; ++r) {
        const std::vector<double> logits =
            reference::logits(problem.features.data() + r * width, problem.weight.data(),
                              problem.bias.data(), width, classes);
        const std::vector<double> scores = reference::softmax(logits);
        double worst = 0.0;
        for (std::int64_t c = 0; c < classes; ++c) {
          const auto entry = static_cast<std::size_t>(r * classes + c);
          const double p = scores[static_cast<std::size_t>(c)];
          const double unit_error = 0.5 * score_unit;
          worst = std::max(worst,
                           (std::abs(static_cast<double>(statistics.sums[entry]) * score_unit - p) -
                            unit_error) /
                               p);
        }
        CHECK(worst < 1e-5);
        const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
        CHECK(statistics.votes[static_cast<std::size_t>(r * classes + best)] == 1);
      }
    }
  }
}

TEST_CASE("exactly known scores") {
  // Equal logits: every class gets the same score, and the first the vote.
  for (const std::size_t classes : {1, 2, 4, 16, 32, 64}) {
    const Statistics s = given_logits(std::vector<float>(classes, -3.25f)).run();
    for (std::size_t c = 0; c < classes; ++c) {
      CHECK(s.sums[c] == one / classes);
      CHECK(s.squares[c] == one / (classes * classes));
      CHECK(s.votes[c] == (c == 0 ? 1 : 0));
    }
  }
  const Statistics three = given_logits({0.0f, 0.0f, 0.0f}).run();
  CHECK(three.sums == std::vector<std::uint64_t>(3, 1431655765));    // 2^32 / 3 = ...765.33
  CHECK(three.squares == std::vector<std::uint64_t>(3, 477218588));  // 2^32 / 9 = ...588.44
}

TEST_CASE("the lowest index wins a tie, in whatever lane the tie lies") {
  for (const std::size_t first : {0, 1, 7, 15, 16, 20, 37}) {
    for (const std::size_t second : {38, 39}) {
      std::vector<float> logits(40, -1.0f);
      logits[first] = logits[second] = 2.0f;
      for (const InstructionSet set : cpu::instruction_sets) {
        if (!cpu::supported(set)) continue;
        const Statistics s = given_logits(logits).run(set);
        CHECK(s.votes[first] == 1);
        CHECK(total(s.votes) == 1);
      }
    }
  }
  // A difference in the last place decides, although the scores may round to the same value.
  CHECK(given_logits({1000.0f, std::nextafter(1000.0f, 2000.0f)}).run().votes[1] == 1);
}

TEST_CASE("huge logits neither overflow nor lose a draw") {
  constexpr float huge = std::numeric_limits<float>::max();
  for (const InstructionSet set : cpu::instruction_sets) {
    if (!cpu::supported(set)) continue;
    const Statistics s = given_logits({-huge, huge, 0.0f}).run(set);
    CHECK(s.votes == std::vector<std::uint64_t>{0, 1, 0});
    CHECK(s.sums == std::vector<std::uint64_t>{0, one, 0});
    CHECK(s.squares == std::vector<std::uint64_t>{0, one, 0});
    // All as low as can be, which is also what pads the vectors.
    CHECK(given_logits({-huge, -huge}).run(set).sums == std::vector<std::uint64_t>(2, one / 2));
    CHECK(given_logits({-huge, -huge}).run(set).votes == std::vector<std::uint64_t>{1, 0});
  }
}

TEST_CASE("a score that is not finite is an error that names its row") {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {infinity, -infinity, std::numeric_limits<float>::quiet_NaN()}) {
    for (const InstructionSet set : cpu::instruction_sets) {
      if (!cpu::supported(set)) continue;
      Problem problem(9, 20, 10, 1);
      problem.row_image.assign(9, 0);
      problem.features[6 * 20 + 19] = bad;
      problem.features[8 * 20] = bad;
      Statistics s(10);
      std::string text;
      try {
        problem.add(s, set);
      } catch (const Error& error) {
        text = error.what();
      }
      CHECK(text.find("row 6 of 9") != std::string::npos);
      CHECK(total(s.votes) == 7);

      // In a row that counts nowhere it does not matter.
      problem.row_image[6] = problem.row_image[8] = -1;
      CHECK(total(problem.run(set).votes) == 7);
    }
  }
}

TEST_CASE("padding rows count nowhere") {
  Problem problem(11, 100, 10, 2);
  const Statistics expected = problem.rows({1, 4, 5, 6, 10}).run();
  for (const std::size_t r : {0, 2, 3, 7, 8, 9}) problem.row_image[r] = -1;
  CHECK(problem.run() == expected);
  std::fill(problem.row_image.begin(), problem.row_image.end(), -1);
  CHECK(problem.run() == Statistics(20));
}

TEST_CASE("neither the order of the rows nor how they are split changes the integers") {
  const Problem problem(257, 200, 10, 5);
  const Statistics expected = problem.run();
  std::vector<std::size_t> order(257);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937(2));
  CHECK(problem.rows(order).run() == expected);

  Statistics split(50);
  for (std::size_t first = 0, size = 1; first < order.size(); first += size, ++size) {
    const auto begin = order.begin() + static_cast<std::ptrdiff_t>(first);
    const std::size_t count = std::min(size, order.size() - first);
    problem.rows({begin, begin + static_cast<std::ptrdiff_t>(count)}).add(split);
  }
  CHECK(split == expected);
}

TEST_CASE("threads that add to the same arrays give the same integers") {
  const Problem problem(64, 64, 10, 3);
  Statistics expected(30), shared(30);
  constexpr int threads = 4, calls = 25;
  for (int i = 0; i < threads * calls; ++i) problem.add(expected);
  std::vector<std::thread> pool;
  for (int t = 0; t < threads; ++t)
    pool.emplace_back([&] {
      for (int i = 0; i < calls; ++i) problem.add(shared);
    });
  for (std::thread& thread : pool) thread.join();
  CHECK(shared == expected);

  // Large enough to be shared out to threads within one call.
  const Problem large(1024, 640, 10, 3);
  Statistics by_row(30);
  for (std::size_t r = 0; r < 1024; ++r) large.rows({r}).add(by_row);
  CHECK(large.run() == by_row);
}

TEST_CASE("no bias means a bias of zero; nothing is written past the classes") {
  Problem problem(6, 33, 10, 1);
  std::fill(problem.bias.begin(), problem.bias.end(), 0.0f);
  const Statistics expected = problem.run();
  std::vector<std::uint64_t> votes(11), sums(11), squares(11);
  draw_statistics(Stream(), problem.params, problem.features.data(), problem.weight.data(), nullptr,
                  problem.row_image.data(), votes.data(), sums.data(), squares.data());
  for (std::vector<std::uint64_t>* values : {&votes, &sums, &squares}) {
    CHECK(values->back() == 0);
    values->pop_back();
  }
  CHECK(votes == expected.votes);
  CHECK(sums == expected.sums);
  CHECK(squares == expected.squares);
}

TEST_CASE("impossible sizes are refused") {
  const auto call = [](std::int64_t rows, std::int64_t width, std::int64_t classes) {
    draw_statistics(Stream(), {rows, width, classes}, nullptr, nullptr, nullptr, nullptr, nullptr,
                    nullptr, nullptr);
  };
  CHECK_THROWS_AS(call(-1, 1, 1), Error);
  CHECK_THROWS_AS(call(1, -1, 1), Error);
  CHECK_THROWS_AS(call(1, 1, 0), Error);
  CHECK_NOTHROW(call(0, 1, 1));
}

}  // namespace
}  // namespace pixeldp::kernels
