#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/draw_statistics.hpp"
#include "kernels/device_plan.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/multi_draw_on_device.cuh"
#include "tests/throws_error.hpp"

/// The multi-draw kernel in int8 against the plan's steps one after the other: the same counts.
namespace pixeldp::kernels::emulated {
namespace {

using Problem = MultiDrawInt8Problem;

/// Step by step.
MultiDrawStatistics in_steps(const Problem& problem) {
  const MultiDrawParams& params = problem.params;
  const std::int64_t count = params.images * params.draws;
  std::vector<NoiseRow> rows;
  std::vector<std::int64_t> row_image;
  for (std::int64_t i = 0; i < params.images; ++i) {
    for (std::uint32_t d = 0; d < params.draws; ++d) {
      rows.push_back({i, problem.ids[as_size(i)], params.first_draw + d});
      row_image.push_back(i);
    }
  }
  const InferencePlan plan = problem.body();
  const auto prepared = prepare_device_plan(
      test_stream(), plan,
      DeviceSchedule::make(plan, count, Precision::int8, true, Fusion::allowed, problem.scales));
  const MultiDrawNetwork& network = problem.network;
  const DeviceArray<float> x(problem.prefixes), hidden(as_size(count * network.hidden)),
      w3(problem.head), b3(problem.head_bias);
  const DeviceArray<NoiseRow> noise_rows(rows);
  const DeviceArray<std::int64_t> images(row_image);
  MultiDrawStatistics result(params.images * network.classes);
  const DeviceArray<std::uint64_t> votes(result.votes), sums(result.sums), squares(result.squares),
      bad_row(std::vector<std::uint64_t>{no_bad_row});
  prepared->run({params.noise, noise_rows.data()}, x.data(), hidden.data());
  kernels::draw_statistics(test_stream(), {count, network.hidden, network.classes}, hidden.data(),
                           w3.data(), b3.data(), images.data(), votes.data(), sums.data(),
                           squares.data(), bad_row.data());
  result.votes = votes.values(), result.sums = sums.values(), result.squares = squares.values();
  result.bad_row = bad_row.values()[0];
  return result;
}

Problem small_problem(std::int64_t images, std::uint32_t draws) {
  return {small_int8_convolution(), 128, 10, images, draws};
}

TEST_CASE("the multi-draw kernel in int8 counts what the steps count") {
  for (const NoiseDistribution distribution :
       {NoiseDistribution::none, NoiseDistribution::gaussian, NoiseDistribution::laplace}) {
    for (const std::uint32_t draws : {1, 16, 37}) {
      for (const float slope : {1.0f, 0.0f, 0.5f}) {
        CAPTURE(draws);
        CAPTURE(slope);
        Problem problem = small_problem(2, draws);
        problem.noise(distribution);
        problem.params.noise.activation.slope = slope;
        const MultiDrawStatistics expected = in_steps(problem);
        CHECK(expected.votes != MultiDrawStatistics(2 * 10).votes);
        CHECK(run(problem, 16) == expected);
        CHECK(run(problem, 32) == expected);
      }
    }
  }
}

TEST_CASE("the multi-draw kernel in int8 does for more classes, any height and padding") {
  for (const std::int64_t classes : {1, 17, 128}) {
    const Problem problem(small_int8_convolution(), 128, classes, 2, 5);
    CHECK(run(problem) == in_steps(problem));
  }
  for (const std::int64_t in_h : {1, 3, 7}) {
    for (const Padding pad : {Padding{0, 2}, {1, 1}, {2, 0}}) {
      CAPTURE(in_h);
      CAPTURE(pad.before);
      const Problem problem(small_int8_convolution(in_h, pad), 128, 3, 1, 5);
      const MultiDrawStatistics expected = in_steps(problem);
      CHECK(run(problem, 16) == expected);
      CHECK(run(problem, 32) == expected);
    }
  }
}

TEST_CASE("the multi-draw kernel in int8 does under every schedule") {
  const Problem problem = small_problem(2, 17),
                mnist(reference::same(1, 3, 14, 32, 64, 5, 2), 1024, 10, 1, 32);
  for (const Problem& each : {problem, mnist}) {
    const MultiDrawStatistics expected = in_steps(each);
    for (const Schedule& schedule : adversarial_schedules) {
      const WithSettings with(schedule);
      CAPTURE(schedule.name());
      CHECK(run(each, 16) == expected);
      CHECK(run(each, 32) == expected);
    }
  }
}

TEST_CASE("the multi-draw kernel in int8 takes what is no number as its bytes do") {
  Problem problem = small_problem(2, 9);
  problem.prefixes[as_size(problem.row_size() + 5)] = NAN;
  problem.prefixes[3] = INFINITY;
  const MultiDrawStatistics expected = in_steps(problem);
  CHECK(expected.bad_row == no_bad_row);
  CHECK(run(problem) == expected);
  problem.head[7] = NAN;
  CHECK(run(problem).bad_row == 0);
}

TEST_CASE("the multi-draw kernel in int8 has no bank conflicts") {
  Settings counting = settings();
  counting.count_bank_conflicts = true;
  const WithSettings with(counting);
  reset_bank_tally();
  for (const int block_draws : {16, 32}) {
    run(Problem(reference::same(1, 4, 14, 32, 64, 5, 2), 1024, 10, 1, 32), block_draws);
    run(small_problem(1, 32), block_draws);
  }
  CHECK(bank_tally().phases > 0);
  CHECK(bank_tally().conflicts == 0);
}

TEST_CASE("a network in int8 is prepared for the multi-draw kernel, and in fp32 it is not") {
  const Problem problem = small_problem(2, 20);
  NetworkPlan network{.prefix = InferencePlan(problem.row_size()),
                      .body = problem.body(),
                      .classes = 10,
                      .head_weight = problem.head,
                      .head_bias = problem.head_bias};
  CHECK_FALSE(prepare_multi_draw(test_stream(), network, Precision::fp32));
  CHECK_FALSE(prepare_multi_draw(test_stream(), network, Precision::bf16));  // of so many channels
  CHECK_FAILS(prepare_multi_draw(test_stream(), network, Precision::int8), "0 scales");
  const auto prepared = prepare_multi_draw(test_stream(), network, Precision::int8, problem.scales);
  REQUIRE(prepared);
  const DeviceArray<float> x(problem.prefixes);
  const DeviceArray<std::uint32_t> ids(problem.ids);
  MultiDrawStatistics result(2 * 10);
  const DeviceArray<std::uint64_t> votes(result.votes), sums(result.sums), squares(result.squares),
      bad_row(std::vector<std::uint64_t>{no_bad_row});
  prepared->run(problem.params, x.data(), ids.data(), votes.data(), sums.data(), squares.data(),
                bad_row.data());
  result.votes = votes.values(), result.sums = sums.values(), result.squares = squares.values();
  CHECK(result == in_steps(problem));
  network.body.steps[0].activation = Activation::identity();
  CHECK_FALSE(prepare_multi_draw(test_stream(), network, Precision::int8, problem.scales));
}

TEST_CASE("which networks have a multi-draw kernel in int8") {
  const Conv2dShape mnist = reference::same(1, 14, 14, 32, 64, 5, 2);
  const auto supported = [](const Conv2dShape& conv, std::int64_t hidden, const Arch& arch) {
    return MultiDrawGrid::supports({conv, hidden, 10, true}, arch);
  };
  for (const Arch& arch : known_archs) CHECK(supported(mnist, 1024, arch));
  CHECK_FALSE(supported(mnist, 1000, sm_80));
  CHECK_FALSE(supported(small_convolution(), 128, sm_80));  // 16 channels
  CHECK(supported(small_int8_convolution(), 128, sm_80));
  CHECK_FALSE(MultiDrawGrid::supports({small_int8_convolution(), 128, 10}, sm_80));
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
