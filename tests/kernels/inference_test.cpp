#include "kernels/inference.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include <doctest/doctest.h>
#include <omp.h>

#include "engine/buffer.hpp"
#include "kernels/cpu/simd_kernels.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/reference/values.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;
using kernels::InferencePlan, kernels::InferenceStep, kernels::Precision;
using Kind = InferenceStep::Kind;

namespace {

bool can(Precision precision) {
  const std::string obstacle = kernels::inference_obstacle(precision);
  if (!obstacle.empty()) MESSAGE(obstacle);
  return obstacle.empty();
}

std::vector<float> evaluate(const kernels::Inference& inference, const InferencePlan& plan,
                            const std::vector<float>& x) {
  const auto rows = static_cast<std::int64_t>(x.size()) / plan.sizes.front();
  std::vector<float> y(static_cast<std::size_t>(rows * plan.sizes.back()));
  Memory workspace({}, static_cast<std::size_t>(inference.workspace_size()));
  // What earlier rows left there must not matter.
  std::memset(workspace.data(), 0x5a, static_cast<std::size_t>(inference.workspace_size()));
  inference.run(rows, x.data(), y.data(), workspace.data());
  return y;
}

/// Integers of which every `run` holds one of magnitude 127, so that rounding to int8 changes none.
std::vector<float> full_integers(std::int64_t count, std::int64_t run, std::uint64_t seed) {
  std::vector<float> values = reference::integers(count, 9, seed);
  for (std::int64_t i = 0; i < count; i += run)
    values[static_cast<std::size_t>(i)] = i % 2 == 0 ? 127.0f : -127.0f;
  return values;
}

float activated(double value, float slope) {
  return static_cast<float>(value > 0 ? value : double{slope} * value);
}

/// Two convolutions, the second with a shortcut around both; a pool; a dense layer.
InferencePlan residual_plan() {
  constexpr std::int64_t in = 6, out = 20;
  InferencePlan plan(8 * 8 * in);
  const int a = plan.add({.kind = Kind::scaling,
                          .name = "bn",
                          .inputs = {0},
                          .activation = {0.1f},
                          .outputs = in,
                          .scale = reference::reals(in, 1),
                          .shift = reference::reals(in, 2)});
  const int around =
      plan.add({.kind = Kind::shortcut,
                .name = "around",
                .inputs = {a},
                .shortcut_shape = {
                    .batch = 1, .in_h = 8, .in_w = 8, .in_c = in, .out_c = out, .stride = 2}});
  const int b = plan.add({.kind = Kind::convolution,
                          .name = "conv1",
                          .inputs = {a},
                          .activation = {0.1f},
                          .convolution = reference::same(1, 8, 8, in, out, 3, 2),
                          .weight = reference::reals(out * in * 9, 3),
                          .scale = reference::reals(out, 4),
                          .shift = reference::reals(out, 5)});
  const int c = plan.add({.kind = Kind::convolution,
                          .name = "conv2",
                          .inputs = {b, around},
                          .convolution = reference::same(1, 4, 4, out, out, 3, 1),
                          .weight = reference::reals(out * out * 9, 6)});
  const int d = plan.add({.kind = Kind::pool, .name = "pool", .inputs = {c}, .outputs = out});
  plan.add({.kind = Kind::dense,
            .name = "fc",
            .inputs = {d},
            .activation = {0.0f},
            .outputs = 33,
            .weight = reference::reals(33 * out, 7),
            .shift = reference::reals(33, 8)});
  return plan;
}

/// Scales from what the plan reads for these rows.
std::vector<float> calibrated(const InferencePlan& plan, const std::vector<float>& x) {
  const auto fp32 = kernels::prepare_inference(plan, Precision::fp32);
  std::vector<float> scales(plan.steps.size()), y(1000000);
  Memory workspace({}, static_cast<std::size_t>(fp32->workspace_size()));
  fp32->run(static_cast<std::int64_t>(x.size()) / plan.sizes.front(), x.data(), y.data(),
            workspace.data(), [&](std::size_t step, std::span<const float> values) {
              for (const float v : values)
                scales[step] = std::max(scales[step], std::abs(v) / 127.0f);
            });
  return scales;
}

}  // namespace

TEST_CASE("sums of 8-bit products are exact: convolutions and dense layers of integers") {
  for (const auto& shape :
       {reference::same(1, 6, 5, 3, 7, 3, 1), reference::same(1, 9, 9, 16, 24, 3, 2),
        reference::same(1, 7, 7, 32, 64, 5, 2), reference::same(1, 4, 4, 70, 1, 1, 1)}) {
    CAPTURE(shape.in_c);
    const std::int64_t taps = shape.weight_size() / shape.out_c;
    InferencePlan plan(shape.in_h * shape.in_w * shape.in_c);
    const auto weight = full_integers(shape.weight_size(), taps, 1);
    plan.add({.kind = Kind::convolution,
              .name = "conv",
              .inputs = {0},
              .activation = {0.5f},
              .convolution = shape,
              .weight = weight,
              .shift = reference::integers(shape.out_c, 50, 2)});
    const auto inference = kernels::prepare_inference(plan, Precision::int8, std::vector{1.0f});
    kernels::Conv2dShape batch = shape;
    batch.batch = 3;
    const auto x = reference::integers(3 * plan.sizes[0], 127, 3);
    const auto sums = reference::conv2d_forward(batch, x, weight);
    std::vector<float> expected;
    for (std::size_t i = 0; i < sums.size(); ++i)
      expected.push_back(activated(
          sums[i] + plan.steps[0].shift[i % static_cast<std::size_t>(shape.out_c)], 0.5f));
    CHECK(evaluate(*inference, plan, x) == expected);
  }
  // The largest sums that a float holds exactly: 16-bit intermediates would saturate.
  InferencePlan plan(1024);
  plan.add({.kind = Kind::dense,
            .name = "fc",
            .inputs = {0},
            .outputs = 2,
            .weight = std::vector<float>(2048, 127.0f)});
  const auto inference = kernels::prepare_inference(plan, Precision::int8, std::vector{1.0f});
  for (const float value : {127.0f, -127.0f, 1000.0f}) {
    const float expected = 1024.0f * 127.0f * std::clamp(value, -127.0f, 127.0f);
    CHECK(evaluate(*inference, plan, std::vector<float>(1024, value)) ==
          std::vector{expected, expected});
  }
}

TEST_CASE("dense layers of bytes are exact behind a ReLU, which leaves no sign, and without one") {
  constexpr std::size_t width = 32;
  for (const kernels::Activation activation :
       {kernels::Activation::relu(), kernels::Activation::identity()}) {
    InferencePlan plan(width);
    std::vector<float> diagonal(width * width), full(width * width, 127.0f);
    for (std::size_t i = 0; i < width; ++i) diagonal[i * width + i] = 127.0f;
    for (std::size_t i = 0; i < full.size(); i += 3) full[i] = -127.0f;
    for (const auto& weight : {diagonal, full})
      plan.add({.kind = Kind::dense,
                .name = "fc",
                .inputs = {static_cast<int>(plan.steps.size())},
                .activation = plan.steps.empty() ? activation : kernels::Activation::identity(),
                .outputs = static_cast<std::int64_t>(width),
                .weight = weight});
    const auto inference =
        kernels::prepare_inference(plan, Precision::int8, std::vector{1.0f, 1.0f});
    const auto x = reference::integers(width, 1, 4);
    std::vector<float> expected(width, 0.0f);
    for (std::size_t o = 0; o < width; ++o)
      for (std::size_t i = 0; i < width; ++i)
        expected[o] += full[o * width + i] * activated(127.0 * x[i], activation.slope);
    CHECK(evaluate(*inference, plan, x) == expected);
  }
}

TEST_CASE("a row's result has the same bits in any company, for any number of rows and threads") {
  const InferencePlan plan = residual_plan();
  const auto x = reference::reals(150 * plan.sizes.front(), 9);
  const std::vector<float> scales = calibrated(plan, x);
  for (const Precision precision : {Precision::fp32, Precision::bf16, Precision::int8}) {
    if (!can(precision)) continue;
    CAPTURE(static_cast<int>(precision));
    const auto inference = kernels::prepare_inference(plan, precision, scales);
    const auto all = evaluate(*inference, plan, x);
    const int threads = omp_get_max_threads();
    omp_set_num_threads(threads + 1);
    const auto other = kernels::prepare_inference(plan, precision, scales);
    CHECK(evaluate(*other, plan, x) == all);
    omp_set_num_threads(threads);
    const auto in = plan.sizes.front(), out = plan.sizes.back();
    for (const auto& [first, count] : {std::pair{0, 1}, {17, 1}, {149, 1}, {3, 66}, {60, 90}}) {
      const auto some =
          evaluate(*inference, plan, {x.begin() + first * in, x.begin() + (first + count) * in});
      CHECK(std::equal(some.begin(), some.end(), all.begin() + first * out));
    }
  }
}

TEST_CASE("what is multiplied may be added to the result, in every precision") {
  InferencePlan plan(4 * 4 * 20);
  plan.add({.kind = Kind::convolution,
            .name = "conv",
            .inputs = {0, 0},
            .convolution = reference::same(1, 4, 4, 20, 20, 3, 1),
            .weight = std::vector<float>(20 * 20 * 9, 0.0f)});
  plan.steps[0].weight[0] = 1.0f;  // for int8 scales of weights
  const auto x = reference::integers(3 * plan.sizes.front(), 100, 11);
  for (const Precision precision : {Precision::fp32, Precision::bf16, Precision::int8}) {
    if (!can(precision)) continue;
    CAPTURE(static_cast<int>(precision));
    const auto y =
        evaluate(*kernels::prepare_inference(plan, precision, std::vector{1.0f}), plan, x);
    // Of output 0 the corner's weight adds a neighbour; all others are what they were.
    for (std::size_t i = 0; i < y.size(); ++i)
      if (i % 20 != 0) CHECK(y[i] == x[i]);
  }
}

TEST_CASE("bf16 and int8 stay near fp32, and fp32 near the definition") {
  const InferencePlan plan = residual_plan();
  const auto x = reference::reals(40 * plan.sizes.front(), 10);
  const auto exact = evaluate(*kernels::prepare_inference(plan, Precision::fp32), plan, x);
  const float most = *std::ranges::max_element(exact);
  REQUIRE(most > 1.0f);
  const std::vector<float> scales = calibrated(plan, x);
  for (const Precision precision : {Precision::bf16, Precision::int8}) {
    if (!can(precision)) continue;
    const auto rounded = evaluate(*kernels::prepare_inference(plan, precision, scales), plan, x);
    CHECK(rounded != exact);
    double worst = 0.0;
    for (std::size_t i = 0; i < exact.size(); ++i)
      worst = std::max(worst, std::abs(double{rounded[i]} - double{exact[i]}));
    CHECK(worst < 0.03 * double{most});
  }
}

TEST_CASE("the steps that are not products have the same bits in every instruction set") {
  using namespace kernels::cpu;
  constexpr std::int64_t pixels = 9, channels = 37, count = pixels * channels;
  const auto x = reference::reals(count, 1), scale = reference::reals(channels, 2),
             shift = reference::reals(channels, 3);
  for (const Real kind : {Real::fp32, Real::bf16}) {
    struct Results {
      std::vector<float> real, small, mean;
      std::vector<std::uint8_t> bytes;
    };
    std::vector<Results> results;
    for (const InstructionSet set : instruction_sets) {
      if (!supported(set)) continue;
      const InferenceKernels& k = simd_kernels(set).inference;
      Results r{std::vector<float>(count), std::vector<float>(count), std::vector<float>(channels),
                std::vector<std::uint8_t>(count)};
      const ScalingSpan span{.pixels = pixels,
                             .channels = channels,
                             .scale = scale.data(),
                             .shift = shift.data(),
                             .slope = 0.1f};
      k.scaling(span, Real::fp32, kind, x.data(), {r.real.data(), r.bytes.data(), 80.0f});
      k.shortcut({.in_w = 3,
                  .in_c = channels,
                  .out_h = 1,
                  .out_w = 1,
                  .out_c = channels + 4,
                  .before = 2,
                  .stride = 2,
                  .extent = 2},
                 kind, r.real.data(), r.small.data());
      std::vector<float> lanes(8 * channels);
      k.pool(pixels, channels, kind, Real::fp32, r.real.data(), r.mean.data(), lanes.data());
      results.push_back(std::move(r));
    }
    for (const Results& r : results) {
      CHECK(r.real == results.front().real);
      CHECK(r.small == results.front().small);
      CHECK(r.mean == results.front().mean);
      CHECK(r.bytes == results.front().bytes);
    }
    const auto& bytes = results.front().bytes;
    CHECK(*std::ranges::max_element(bytes) == zero_byte + 127);
    CHECK(*std::ranges::min_element(bytes) < zero_byte);
  }
}

TEST_CASE("what cannot be rounded to 8 bits is refused, by the name of the layer") {
  InferencePlan plan(10);
  plan.add({.kind = Kind::dense,
            .name = "fc",
            .inputs = {0},
            .outputs = 2,
            .weight = std::vector<float>(20, 1.0f)});
  for (const float scale : {0.0f, -1.0f, NAN, INFINITY, 1e-40f})
    CHECK_THROWS_WITH_AS(
        (void)kernels::prepare_inference(plan, Precision::int8, std::vector{scale}),
        doctest::Contains("fc"), Error);
  CHECK_THROWS_AS((void)kernels::prepare_inference(plan, Precision::int8), Error);
  CHECK_THROWS_AS((void)kernels::prepare_inference(plan, Precision::tf32), Error);
  InferencePlan long_sums(70000);
  long_sums.add({.kind = Kind::dense,
                 .name = "wide",
                 .inputs = {0},
                 .outputs = 1,
                 .weight = std::vector<float>(70000, 1.0f)});
  CHECK_THROWS_WITH_AS(
      (void)kernels::prepare_inference(long_sums, Precision::int8, std::vector{1.0f}),
      doctest::Contains("32 bits"), Error);
  CHECK_THROWS_AS((void)plan.add({.kind = Kind::dense,
                                  .name = "misfit",
                                  .inputs = {1},
                                  .outputs = 2,
                                  .weight = std::vector<float>(20, 1.0f)}),
                  Error);
}
