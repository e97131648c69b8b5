#include <algorithm>
#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include "engine/error.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/draw_statistics.hpp"
#include "kernels/cuda/noise.hpp"
#include "kernels/dense.hpp"
#include "kernels/elementwise.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/kernels/cuda/multi_draw_pieces.hpp"
#include "tests/multi_draw_on_device.cuh"
#include "tests/throws_error.hpp"

namespace pixeldp::kernels::emulated {
namespace {

using Statistics = MultiDrawStatistics;

struct Problem : MultiDrawProblem {
  using MultiDrawProblem::MultiDrawProblem;

  Statistics fused(int block_draws = 0) const { return run(*this, block_draws); }

  /// Layer by layer.
  Statistics layered() const {
    const std::int64_t count = params.images * params.draws;
    std::vector<NoiseRow> rows;
    std::vector<std::int64_t> row_image;
    for (std::int64_t i = 0; i < params.images; ++i) {
      for (std::uint32_t d = 0; d < params.draws; ++d) {
        rows.push_back({i, ids[as_size(i)], params.first_draw + d});
        row_image.push_back(i);
      }
    }
    Conv2dShape shape = network.conv;
    shape.batch = count;
    const DeviceArray<float> x(prefixes), noised(as_size(count * row_size())),
        features(as_size(count * network.dense_in())), hidden(as_size(count * network.hidden)),
        w1(conv), w2(dense), b2(dense_bias), w3(head), b3(head_bias);
    const DeviceArray<NoiseRow> noise_rows(rows);
    const DeviceArray<std::int64_t> images(row_image);
    Statistics result(params.images * network.classes);
    const DeviceArray<std::uint64_t> votes(result.votes), sums(result.sums),
        squares(result.squares), bad_row(std::vector<std::uint64_t>{no_bad_row});
    kernels::add_noise(test_stream(), params.noise, noise_rows.data(), count, row_size(), x.data(),
                       noised.data());
    kernels::conv2d_forward(test_stream(), shape, Precision::bf16, noised.data(), w1.data(),
                            features.data());
    kernels::activate(test_stream(), Activation::relu(), count * network.dense_in(),
                      features.data());
    kernels::dense_forward(test_stream(), {count, network.dense_in(), network.hidden},
                           Precision::bf16, features.data(), w2.data(),
                           dense_bias.empty() ? nullptr : b2.data(), hidden.data());
    kernels::activate(test_stream(), Activation::relu(), count * network.hidden, hidden.data());
    kernels::draw_statistics(test_stream(), {count, network.hidden, network.classes}, hidden.data(),
                             w3.data(), head_bias.empty() ? nullptr : b3.data(), images.data(),
                             votes.data(), sums.data(), squares.data(), bad_row.data());
    result.votes = votes.values(), result.sums = sums.values(), result.squares = squares.values();
    result.bad_row = bad_row.values()[0];
    return result;
  }
};

Problem small_problem(std::int64_t images, std::uint32_t draws, bool exact = true) {
  return Problem(small_convolution(), 128, 10, images, draws, exact);
}

TEST_CASE("the multi-draw kernel gives the integers of the layers where all sums are exact") {
  for (const NoiseDistribution distribution :
       {NoiseDistribution::none, NoiseDistribution::gaussian, NoiseDistribution::laplace}) {
    for (const std::uint32_t draws : {1, 16, 37}) {
      CAPTURE(draws);
      Problem problem = small_problem(2, draws);
      problem.noise(distribution);
      const Statistics expected = problem.layered();
      CHECK(expected.votes != Statistics(2 * 10).votes);
      CHECK(problem.fused(16) == expected);
      CHECK(problem.fused(32) == expected);
    }
  }
}

TEST_CASE(
    "the multi-draw kernel does for every activation of the noise, without biases, for more "
    "classes") {
  for (const float slope : {1.0f, 0.0f, 0.5f}) {
    Problem problem = small_problem(1, 9);
    problem.params.noise.activation.slope = slope;
    problem.prefixes = scaled(problem.prefixes, slope == 0.5f ? -1.0f : 1.0f);
    CHECK(problem.fused() == problem.layered());
  }
  Problem bare = small_problem(1, 9);
  bare.dense_bias.clear();
  bare.head_bias.clear();
  CHECK(bare.fused() == bare.layered());
  for (const std::int64_t classes : {1, 17, 128}) {
    const Problem problem(small_convolution(), 128, classes, 2, 5);
    CHECK(problem.fused() == problem.layered());
  }
}

TEST_CASE("the multi-draw kernel does for images of any height, and padding above and below") {
  for (const std::int64_t in_h : {1, 2, 3, 4, 7}) {
    for (const Padding pad : {Padding{0, 1}, {1, 1}, {2, 0}, {2, 2}, {0, 2}}) {
      if (in_h + pad.before + pad.after < 3) continue;
      CAPTURE(in_h);
      CAPTURE(pad.before);
      CAPTURE(pad.after);
      const Problem problem(small_convolution(in_h, pad), 128, 3, 1, 5);
      const Statistics expected = problem.layered();
      CHECK(problem.fused(16) == expected);
      CHECK(problem.fused(32) == expected);
    }
  }
}

TEST_CASE("the multi-draw kernel does under every schedule") {
  const Problem problem = small_problem(2, 17);
  const Statistics expected = problem.layered();
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(schedule);
    CAPTURE(schedule.name());
    CHECK(problem.fused(16) == expected);
    CHECK(problem.fused(32) == expected);
  }
}

TEST_CASE("the multi-draw kernel for MNIST gives the integers of the layers") {
  const Problem problem(reference::same(1, 6, 14, 32, 64, 5, 2), 1024, 10, 1, 32);
  const Statistics expected = problem.layered();
  CHECK(problem.fused(32) == expected);
  CHECK(problem.fused(16) == expected);
}

TEST_CASE("the multi-draw kernel for MNIST does under every schedule") {
  const Problem problem(reference::same(1, 3, 14, 32, 64, 5, 2), 1024, 10, 1, 32);
  const Statistics expected = problem.layered();
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(schedule);
    CAPTURE(schedule.name());
    CHECK(problem.fused(32) == expected);
    CHECK(problem.fused(16) == expected);
  }
}

TEST_CASE("the multi-draw kernel for MNIST has the same bits on devices of less shared memory") {
  const Problem problem(reference::same(1, 3, 14, 32, 64, 5, 2), 1024, 10, 1, 21, false);
  const Statistics expected = problem.fused(32);
  CHECK(expected.sums != Statistics(10).sums);
  const WithSettings with(sm_86);
  CHECK(problem.fused() == expected);
}

TEST_CASE(
    "the multi-draw kernel: a draw depends on no other draw, on no other image, nor on the block") {
  const Problem all = small_problem(3, 40, false);
  const Statistics expected = all.fused(32);
  CHECK(all.fused(16) == expected);
  CHECK(run_in_pieces(all, {{0, 7}, {7, 32}, {39, 1}}) == expected);
}

TEST_CASE("the multi-draw kernel: draws differ, and every draw counts once") {
  const Problem problem = small_problem(2, 21, false);
  const Statistics result = problem.fused(), start(20);
  for (std::size_t i = 0; i < 2; ++i) {
    std::uint64_t votes = 0, sums = 0;
    for (std::size_t c = 10 * i; c < 10 * (i + 1); ++c) {
      votes += result.votes[c] - start.votes[c];
      sums += result.sums[c] - start.sums[c];
    }
    CHECK(votes == 21);
    CHECK(std::abs(static_cast<double>(sums) * score_unit - 21.0) < 21 * 6 * score_unit);
  }
  Problem other = problem;
  other.params.first_draw += 1;
  CHECK(other.fused().sums != result.sums);
  other = problem;
  other.ids[0] += 1;
  CHECK(other.fused().sums != result.sums);
}

TEST_CASE("the multi-draw kernel: a logit that is not finite is reported, and adds nothing") {
  for (const float bad : {INFINITY, -INFINITY, NAN}) {
    Problem problem = small_problem(3, 20);
    problem.prefixes[as_size(2 * problem.row_size() + 5)] = bad;
    problem.params.noise.activation = Activation::identity();
    const Statistics result = problem.fused();
    CHECK(result.bad_row == 40);
    CHECK(result.votes[20] == Statistics(30).votes[20]);
    Problem good = problem;
    good.params.images = 2;
    const Statistics others = good.fused();
    CHECK(others.bad_row == no_bad_row);
    CHECK(std::equal(others.sums.begin(), others.sums.end(), result.sums.begin()));
    CHECK_FAILS(check_bad_draw(result.bad_row, problem.params, problem.ids.data()),
                "draw 1000 of image 17");
  }
  CHECK_NOTHROW(check_bad_draw(no_bad_row, {}, nullptr));
}

TEST_CASE("the multi-draw kernel: no bank conflicts, and every element of noise is made once") {
  for (const MultiDrawShape& s : multi_draw_shapes) {
    if (s.in_w != 6) continue;
    const Problem problem = small_problem(1, static_cast<std::uint32_t>(s.draws));
    Settings counting = settings();
    counting.count_bank_conflicts = true;
    const WithSettings with(counting);
    reset_bank_tally();
    problem.fused(s.draws);
    CHECK(bank_tally().conflicts == 0);

    // Eight warps. A matrix is read in four phases; writing takes one for 128 bytes.
    const int m = s.draws / 16, out_h = 3;
    const int dense = out_h * (s.out_w * s.out_c / 16 + 1) * m * 8 * 4;
    // Columns that a row's pixels meet with taps 0 and 2, and with tap 1; the last column lies
    // outside. Pixels are shared out in groups of two, or one each.
    const int columns = s.draws == 32 ? 3 + 2 + 1 + 1 : 2 + 1 + 2 + 1 + 1 + 1;
    const int kernel_rows = 3 + 3 + 2;
    const int conv = kernel_rows * columns * (s.out_c / 16) * m * 4;
    const int features = out_h * s.out_w * s.draws * s.out_c * 2 / 128;
    const int hidden = s.draws * s.hidden * 4 / 128;
    const int noise = 6 * s.in_w * s.draws * s.in_c * 2 / 128;
    // Of two rows: to find the largest, for the exponentials and back, for the scores.
    const int logits = s.draws / 2 * 4;
    CHECK(bank_tally().phases ==
          static_cast<unsigned>(dense + conv + features + hidden + noise + logits));
  }
}

TEST_CASE("the multi-draw kernel for MNIST has no bank conflicts") {
  const Conv2dShape conv = reference::same(1, 4, 14, 32, 64, 5, 2);
  Settings counting = settings();
  counting.count_bank_conflicts = true;
  const WithSettings with(counting);
  reset_bank_tally();
  for (const int block_draws : {16, 32}) Problem(conv, 1024, 10, 1, 32).fused(block_draws);
  CHECK(bank_tally().phases > 0);
  CHECK(bank_tally().conflicts == 0);
}

TEST_CASE("the multi-draw kernel's grid") {
  const Problem problem = small_problem(5, 40);
  const auto plan = [&](std::uint32_t draws, int block_draws = 0) {
    MultiDrawParams params = problem.params;
    params.draws = draws;
    return MultiDrawGrid::plan(problem.network, params, sm_80, block_draws);
  };
  CHECK(plan(16).shape.draws == 16);
  CHECK(plan(17).shape.draws == 32);
  CHECK(plan(40).shape.draws == 32);
  CHECK(plan(40).draw_blocks == 2);
  CHECK(plan(40, 16).draw_blocks == 3);
  CHECK(plan(64).shape.draws == 32);
  CHECK(plan(64).images == 5);
  CHECK(plan(0).draw_blocks == 0);
  CHECK(plan(0xffffffff - 999).draw_blocks == (0xffffffffu - 999) / 32 + 1);
}

TEST_CASE("which networks have a multi-draw kernel, and what it refuses") {
  const Conv2dShape mnist = reference::same(1, 14, 14, 32, 64, 5, 2);
  CHECK(MultiDrawGrid::supports({mnist, 1024, 10}, sm_80));
  CHECK_FALSE(MultiDrawGrid::supports({mnist, 1000, 10}, sm_80));
  CHECK_FALSE(MultiDrawGrid::supports({mnist, 1024, 129}, sm_80));
  CHECK_FALSE(MultiDrawGrid::supports({mnist, 1024, 0}, sm_80));
  CHECK_FALSE(MultiDrawGrid::supports({reference::same(1, 14, 14, 32, 64, 3, 2), 1024, 10}, sm_80));
  CHECK_FALSE(MultiDrawGrid::supports({small_convolution(6, {3, 0}), 128, 10}, sm_80));
  Conv2dShape shifted = mnist;
  shifted.pad_w = {2, 1};
  CHECK_FALSE(MultiDrawGrid::supports({shifted, 1024, 10}, sm_80));
  CHECK_FAILS(kernels::pack_multi_draw(test_stream(), {shifted, 1024, 10}, {}), "layer by layer");

  const Problem problem = small_problem(1, 4);
  const auto refused = [&](auto change) {
    Problem changed = problem;
    change(changed.params);
    changed.fused();
  };
  CHECK_FAILS(refused([](MultiDrawParams& p) { p.first_draw = 0xfffffffd; }), "32 bits");
  CHECK_FAILS(refused([](MultiDrawParams& p) { p.noise.scale = -1.0f; }), "noise scale");
  MultiDrawParams many = problem.params;
  many.images = 65536;
  CHECK_FAILS(MultiDrawGrid::plan(problem.network, many, sm_80), "65535");
  alignas(16) const float memory[4] = {};
  CHECK_NOTHROW(MultiDrawGrid::plan(problem.network, problem.params, sm_80, 0, memory));
  CHECK_FAILS(MultiDrawGrid::plan(problem.network, problem.params, sm_80, 0, memory + 1),
              "16 bytes");

  CHECK_FALSE(multi_draw_supported({DeviceKind::cpu}, problem.network));
  CHECK(multi_draw_supported({DeviceKind::emulated}, problem.network));
  CHECK_FAILS(kernels::pack_multi_draw(pixeldp::Stream(), problem.network, {}), "layer by layer");
}

TEST_CASE("the multi-draw kernel: no draws, no images: nothing is done") {
  Problem none = small_problem(1, 4);
  none.params.draws = 0;
  CHECK(none.fused() == Statistics(10));
  none.params.draws = 4, none.params.images = 0;
  CHECK(none.fused() == Statistics(0));
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
