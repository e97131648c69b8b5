#include <algorithm>
#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/device.cuh"
#include "tests/emulator/sm_90_settings.hpp"
#include "tests/kernels/cuda/multi_draw_pieces.hpp"
#include "tests/multi_draw_on_device.cuh"
#include "tests/throws_error.hpp"

/// The multi-draw kernel in clusters against the one by blocks, which other tests hold against the
/// layers: the same integers where all sums are exact, and always in int8.
namespace pixeldp::kernels::emulated {
namespace {

using Statistics = MultiDrawStatistics;

constexpr int in_clusters = MultiDrawCluster::draws;

MultiDrawProblem small_problem(std::int64_t images, std::uint32_t draws, bool exact = true) {
  return {small_convolution(), 128, 10, images, draws, exact};
}
MultiDrawInt8Problem small_int8_problem(std::int64_t images, std::uint32_t draws) {
  return {small_int8_convolution(), 128, 10, images, draws};
}
Conv2dShape mnist_convolution(std::int64_t in_h) {
  return reference::same(1, in_h, 14, 32, 64, 5, 2);
}

/// Both forms add the same, and something.
template <class Problem>
void check(const Problem& problem) {
  const Statistics expected = run(problem, 32);
  CHECK(expected.votes != Statistics(problem.params.images * problem.network.classes).votes);
  CHECK(run(problem, in_clusters) == expected);
}

TEST_CASE("the multi-draw kernel in clusters adds what it adds by blocks, of any number of draws") {
  const WithSettings with(sm_90);
  for (const std::uint32_t draws : {1, 33, 64, 65, 300}) {
    CAPTURE(draws);
    check(small_problem(1, draws));
    check(small_int8_problem(1, draws));
  }
  for (const NoiseDistribution distribution :
       {NoiseDistribution::none, NoiseDistribution::gaussian, NoiseDistribution::laplace}) {
    MultiDrawProblem problem = small_problem(3, 40);
    problem.noise(distribution);
    check(problem);
    MultiDrawInt8Problem bytes = small_int8_problem(3, 40);
    bytes.noise(distribution);
    bytes.params.noise.activation.slope = 0.5f;
    check(bytes);
  }
}

TEST_CASE("the multi-draw kernel in clusters does without biases, for more classes, any height") {
  const WithSettings with(sm_90);
  MultiDrawProblem bare = small_problem(1, 9);
  bare.dense_bias.clear();
  bare.head_bias.clear();
  check(bare);
  for (const std::int64_t classes : {2, 17, 128}) {
    check(MultiDrawProblem(small_convolution(), 128, classes, 2, 65));
    check(MultiDrawInt8Problem(small_int8_convolution(), 128, classes, 2, 65));
  }
  for (const std::int64_t in_h : {1, 2, 7}) {
    for (const Padding pad : {Padding{0, 2}, {1, 1}, {2, 0}}) {
      if (in_h + pad.before + pad.after < 3) continue;
      CAPTURE(in_h);
      CAPTURE(pad.before);
      CAPTURE(pad.after);
      check(MultiDrawProblem(small_convolution(in_h, pad), 128, 3, 1, 40));
      check(MultiDrawInt8Problem(small_int8_convolution(in_h, pad), 128, 3, 1, 40));
    }
  }
}

TEST_CASE("the multi-draw kernel in clusters does under every schedule") {
  const MultiDrawProblem problem = small_problem(2, 65);
  const MultiDrawInt8Problem bytes = small_int8_problem(2, 65);
  const Statistics expected = run(problem, 32), expected_of_bytes = run(bytes, 32);
  for (const Schedule& schedule : adversarial_schedules) {
    for (const bool checks : {false, true}) {
      const WithSettings with(sm_90_with(schedule, checks));
      CAPTURE(schedule.name());
      CAPTURE(checks);
      CHECK(run(problem, in_clusters) == expected);
      CHECK(run(bytes, in_clusters) == expected_of_bytes);
    }
  }
}

TEST_CASE("the multi-draw kernel for MNIST in clusters adds what it adds by blocks") {
  const WithSettings with(sm_90);
  check(MultiDrawProblem(mnist_convolution(6), 1024, 10, 1, 64));
  check(MultiDrawInt8Problem(mnist_convolution(6), 1024, 10, 1, 64));
}

TEST_CASE("the multi-draw kernel for MNIST in clusters does under every schedule") {
  const MultiDrawProblem problem(mnist_convolution(3), 1024, 10, 1, 37);
  const MultiDrawInt8Problem bytes(mnist_convolution(3), 1024, 10, 1, 37);
  const Statistics expected = run(problem, 32), expected_of_bytes = run(bytes, 32);
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(sm_90_with(schedule, schedule == Schedule()));
    CAPTURE(schedule.name());
    CHECK(run(problem, in_clusters) == expected);
    CHECK(run(bytes, in_clusters) == expected_of_bytes);
  }
}

TEST_CASE("the multi-draw kernel in clusters: a draw depends on no other draw, nor on images") {
  const WithSettings with(sm_90);
  const MultiDrawProblem all = small_problem(3, 100, false);
  const Statistics expected = run(all, in_clusters);
  CHECK(run_in_pieces(all, {{0, 7}, {7, 64}, {71, 29}}) == expected);
}

TEST_CASE("the multi-draw kernel in clusters: a logit that is not finite is reported") {
  const WithSettings with(sm_90);
  for (const float bad : {INFINITY, NAN}) {
    MultiDrawProblem problem = small_problem(3, 70);
    problem.prefixes[as_size(2 * problem.row_size() + 5)] = bad;
    problem.params.noise.activation = Activation::identity();
    const Statistics result = run(problem, in_clusters);
    CHECK(result.bad_row == 140);
    CHECK(result == run(problem, 32));
  }
}

TEST_CASE("the multi-draw kernel in clusters has no bank conflicts") {
  Settings counting = sm_90_with({}, false);
  counting.count_bank_conflicts = true;
  const WithSettings with(counting);
  reset_bank_tally();
  run(MultiDrawProblem(mnist_convolution(4), 1024, 10, 1, 64), in_clusters);
  run(MultiDrawInt8Problem(mnist_convolution(4), 1024, 10, 1, 64), in_clusters);
  run(small_problem(1, 64), in_clusters);
  run(small_int8_problem(1, 64), in_clusters);
  CHECK(bank_tally().phases > 0);
  CHECK(bank_tally().conflicts == 0);
}

TEST_CASE("the multi-draw kernel's form is chosen by shape and device alone") {
  const MultiDrawProblem problem = small_problem(5, 40);
  const auto plan = [&](const Arch& arch, std::uint32_t draws, int block_draws = 0) {
    MultiDrawParams params = problem.params;
    params.draws = draws;
    return MultiDrawGrid::plan(problem.network, params, arch, block_draws);
  };
  for (const std::uint32_t draws : {1u, 16u, 64u, 65u, 0xffffffffu - 999}) {
    CAPTURE(draws);
    const MultiDrawGrid grid = plan(sm_90, draws);
    CHECK(grid.in_clusters());
    CHECK(grid.shape.draws == 32);
    CHECK(grid.draw_blocks == (draws - 1) / 64 * 2 + 2);
    CHECK(grid.images == 5);
    CHECK_FALSE(plan(sm_80, draws).in_clusters());
    CHECK_FALSE(plan(sm_90, draws, 16).in_clusters());
    CHECK_FALSE(plan(sm_90, draws, 32).in_clusters());
  }
  CHECK(plan(sm_90, 0).draw_blocks == 0);
  CHECK(plan(sm_90, 40, 64) == plan(sm_90, 40));
  Arch later = sm_90;
  later.capability = 100, later.warpgroup_products = false;
  CHECK_FALSE(plan(later, 64).in_clusters());
  // A network that has no form for clusters.
  const MultiDrawNetwork none{small_convolution(), 256, 10};
  CHECK_FAILS(MultiDrawGrid::plan(none, {}, sm_90, in_clusters), "no multi-draw kernel fits");
}

TEST_CASE("which shapes have a form for clusters, and what it takes") {
  using Shape = MultiDrawShape;
  using Cluster = MultiDrawCluster;
  CHECK(Cluster::of(Shape::same(14, 32, 5, 2, 64, 1024, 32)) == Cluster{4, 3, 225536});
  CHECK(Cluster::of(Shape::same(14, 32, 5, 2, 64, 1024, 32, 1), 1) == Cluster{4, 4, 153856});
  CHECK(Cluster::of(Shape::same(6, 16, 3, 2, 32, 128, 32)) == Cluster{4, 4, 43264});
  CHECK(Cluster::of(Shape::same(14, 32, 5, 2, 64, 1024, 16)) == Cluster{});      // draws
  CHECK(Cluster::of(Shape::same(14, 32, 5, 2, 64, 512, 32)) == Cluster{});       // columns
  CHECK(Cluster::of(Shape::same(6, 16, 3, 2, 16, 128, 32, 1), 1) == Cluster{});  // bytes of a pixel
  // Fewer stages, then none: rows of the image take more shared memory.
  CHECK(Cluster::of(Shape::same(16, 32, 5, 2, 64, 1024, 32)) == Cluster{4, 2, 229632});
  CHECK(Cluster::of(Shape::same(20, 32, 5, 2, 64, 1024, 32)) == Cluster{});
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
