#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include <doctest/doctest.h>

#include "engine/buffer.hpp"
#include "kernels/cpu/simd_kernels.hpp"
#include "kernels/device_schedule.hpp"
#include "kernels/grouped_convolution.hpp"
#include "kernels/inference.hpp"
#include "kernels/pointwise.hpp"
#include "kernels/rearrangement.hpp"
#include "kernels/row_products.hpp"
#include "kernels/window_pool.hpp"
#include "tests/reference/values.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;
using namespace pixeldp::kernels;
using Kind = InferenceStep::Kind;

namespace {

std::vector<float> run(const RowOperation& operation, const std::vector<std::vector<float>>& x) {
  std::vector<float> y(static_cast<std::size_t>(operation.output_size()));
  std::vector<const float*> inputs;
  for (const auto& values : x) inputs.push_back(values.data());
  operation.run(inputs, y.data());
  return y;
}

/// By the definition, in double precision.
std::vector<float> grouped_reference(const GroupedConv2dShape& s, const std::vector<float>& x,
                                     const std::vector<float>& weight) {
  std::vector<float> y;
  const std::int64_t inputs = s.in_c / s.groups, outputs = s.out_c / s.groups;
  for (std::int64_t p = 0; p < s.out_h(); ++p)
    for (std::int64_t q = 0; q < s.out_w(); ++q)
      for (std::int64_t o = 0; o < s.out_c; ++o) {
        double sum = 0.0;
        for (std::int64_t i = 0; i < inputs; ++i)
          for (std::int64_t r = 0; r < s.kernel_h; ++r)
            for (std::int64_t t = 0; t < s.kernel_w; ++t) {
              const std::int64_t h = p * s.stride_h + r * s.dilation_h - s.pad_h.before;
              const std::int64_t w = q * s.stride_w + t * s.dilation_w - s.pad_w.before;
              if (h < 0 || h >= s.in_h || w < 0 || w >= s.in_w) continue;
              sum += double{x[static_cast<std::size_t>((h * s.in_w + w) * s.in_c +
                                                       o / outputs * inputs + i)]} *
                     double{weight[static_cast<std::size_t>(
                         ((o * inputs + i) * s.kernel_h + r) * s.kernel_w + t)]};
            }
        y.push_back(static_cast<float>(sum));
      }
  return y;
}

const GroupedConv2dShape grouped_shapes[] = {
    // Depthwise, of channels that fill vectors and that do not, with uneven padding.
    {.in_h = 7,
     .in_w = 5,
     .in_c = 83,
     .out_c = 83,
     .groups = 83,
     .kernel_h = 3,
     .kernel_w = 3,
     .pad_h = {1, 1},
     .pad_w = {1, 1}},
    {.in_h = 9,
     .in_w = 8,
     .in_c = 64,
     .out_c = 64,
     .groups = 64,
     .kernel_h = 5,
     .kernel_w = 3,
     .stride_h = 2,
     .stride_w = 2,
     .pad_h = {1, 2},
     .pad_w = {0, 1}},
    // A multiplier of 2, and groups of several channels.
    {.in_h = 6,
     .in_w = 6,
     .in_c = 3,
     .out_c = 6,
     .groups = 3,
     .kernel_h = 3,
     .kernel_w = 3,
     .pad_h = {1, 2},
     .pad_w = {0, 1}},
    {.in_h = 4,
     .in_w = 6,
     .in_c = 8,
     .out_c = 34,
     .groups = 2,
     .kernel_h = 2,
     .kernel_w = 3,
     .stride_w = 2,
     .pad_h = {},
     .pad_w = {1, 1}},
    // Dilated, with two strides.
    {.in_h = 11,
     .in_w = 12,
     .in_c = 5,
     .out_c = 19,
     .kernel_h = 3,
     .kernel_w = 2,
     .stride_h = 2,
     .dilation_h = 2,
     .dilation_w = 3,
     .pad_h = {2, 0},
     .pad_w = {0, 3}}};

}  // namespace

TEST_CASE("grouped, depthwise and dilated convolutions of integers are exact") {
  for (const GroupedConv2dShape& shape : grouped_shapes) {
    CAPTURE(describe(shape));
    const auto x = reference::integers(shape.in_h * shape.in_w * shape.in_c, 9, 1);
    const auto weight = reference::integers(shape.weight_size(), 9, 2);
    CHECK(run(GroupedConvolution(shape, weight), {x}) == grouped_reference(shape, x, weight));
  }
}

TEST_CASE("row operations have the same bits on every instruction set") {
  using cpu::InstructionSet;
  for (const GroupedConv2dShape& s : grouped_shapes) {
    const auto x = reference::reals(s.in_h * s.in_w * s.in_c, 3);
    const auto weight = reference::reals(s.weight_size(), 4), shift = reference::reals(s.out_c, 5);
    GroupedSpan span = GroupedSpan::of(s);
    span.weight = weight.data();
    span.shift = shift.data();
    span.slope = 0.1f;
    span.low = -0.5f;
    span.high = 2.0f;
    std::vector<std::vector<std::uint32_t>> all;
    for (const InstructionSet set : cpu::instruction_sets) {
      if (!cpu::supported(set)) continue;
      std::vector<float> y(static_cast<std::size_t>(s.out_h() * s.out_w() * s.out_c));
      cpu::simd_kernels(set).rows.grouped(span, x.data(), y.data());
      all.push_back(reference::bits(y));
      CHECK(all.back() == all.front());
    }
  }
  std::vector<float> x = reference::awkward_values(1003);
  for (std::size_t i = 0; i < 400; ++i) x[i] *= 20.0f;
  for (const PointwiseFunction& function :
       {PointwiseFunction{PointwiseFunction::Kind::clamp, -0.5f, 0.7f},
        PointwiseFunction{PointwiseFunction::Kind::sigmoid},
        PointwiseFunction{PointwiseFunction::Kind::tanh},
        PointwiseFunction{PointwiseFunction::Kind::elu, 0.7f},
        PointwiseFunction{PointwiseFunction::Kind::hard_sigmoid, 0.2f, 0.5f},
        PointwiseFunction{PointwiseFunction::Kind::hard_swish}}) {
    CAPTURE(Pointwise(function, 1).name());
    std::vector<std::vector<std::uint32_t>> all;
    for (const InstructionSet set : cpu::instruction_sets) {
      if (!cpu::supported(set)) continue;
      std::vector<float> y(x.size());
      cpu::simd_kernels(set).rows.pointwise(function, std::ssize(x), x.data(), y.data());
      all.push_back(reference::bits(y));
      CHECK(all.back() == all.front());
      for (std::size_t i = 0; i < x.size(); ++i) CHECK(std::isnan(y[i]) >= std::isnan(x[i]));
    }
  }
}

TEST_CASE("functions are those of the C library but for rounding") {
  using Function = PointwiseFunction::Kind;
  std::vector<float> x = reference::reals(2000, 1);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] *= i % 2 ? 1.0f : 30.0f;
  const auto near = [&](const PointwiseFunction& function, double (*exact)(double), double error) {
    const auto y = run(Pointwise(function, std::ssize(x)), {x});
    for (std::size_t i = 0; i < x.size(); ++i)
      CHECK(std::abs(y[i] - exact(x[i])) <= error * std::max(1.0, std::abs(exact(x[i]))));
  };
  near(
      {Function::sigmoid}, [](double v) { return 1 / (1 + std::exp(-v)); }, 2e-7);
  near(
      {Function::tanh}, [](double v) { return std::tanh(v); }, 3e-7);
  near(
      {Function::elu, 0.5f}, [](double v) { return v > 0 ? v : 0.5 * std::expm1(v); }, 2e-7);
  near(
      {Function::hard_sigmoid, 0.25f, 0.5f},
      [](double v) { return std::clamp(0.25 * v + 0.5, 0.0, 1.0); }, 2e-7);
  near(
      {Function::hard_swish}, [](double v) { return v * std::clamp(v / 6 + 0.5, 0.0, 1.0); }, 3e-7);
  near(
      {Function::clamp, -1.0f, 2.0f}, [](double v) { return std::clamp(v, -1.0, 2.0); }, 0.0);
  CHECK_FAILS(Pointwise({Function::clamp, 1.0f, 0.0f}, 1), "clamp cannot have");
}

TEST_CASE("pooling over windows: the largest value, and means that count padding or do not") {
  using Pool = WindowPoolShape::Kind;
  // 1 2 3
  // 4 5 6   of two channels, the second the negative of the first
  std::vector<float> x;
  for (const float v : {1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f}) x.insert(x.end(), {v, -v});
  WindowPoolShape shape{.kind = Pool::max,
                        .in_h = 2,
                        .in_w = 3,
                        .channels = 2,
                        .out_h = 2,
                        .out_w = 2,
                        .kernel_h = 2,
                        .kernel_w = 2,
                        .stride_h = 1,
                        .stride_w = 2,
                        .pad_h = {1, 0},
                        .pad_w = {0, 1}};
  CHECK(run(WindowPool(shape), {x}) == std::vector<float>{2, -1, 3, -3, 5, -1, 6, -3});
  shape.kind = Pool::average;
  CHECK(run(WindowPool(shape), {x}) == std::vector<float>{1.5, -1.5, 3, -3, 3, -3, 4.5, -4.5});
  shape.count_padding = true;
  CHECK(run(WindowPool(shape), {x}) ==
        std::vector<float>{0.75, -0.75, 0.75, -0.75, 3, -3, 2.25, -2.25});
  // The last window ends beyond the padding, which is not counted.
  shape.pad_w = {};
  CHECK(run(WindowPool(shape), {x}) ==
        std::vector<float>{0.75, -0.75, 1.5, -1.5, 3, -3, 4.5, -4.5});
  shape.out_w = 3;
  CHECK_FAILS(WindowPool(shape), "a window lies outside of the image");
  shape.stride_h = 0;
  CHECK_FAILS(WindowPool(shape), "from 1 to 2^20");
}

TEST_CASE("rearrangements, products and softmax of rows") {
  using Rows = std::vector<float>;
  CHECK(run(Concatenation(2, {1, 2}), {{1, 2}, {3, 4, 5, 6}}) == Rows{1, 3, 4, 2, 5, 6});
  CHECK(run(Selection({.in_pixels = 2,
                       .in_channels = 3,
                       .pixels = {1, -1, 0},
                       .channels = {2, 0},
                       .fill = 7}),
            {{1, 2, 3, 4, 5, 6}}) == Rows{6, 4, 7, 7, 3, 1});
  CHECK_FAILS(Selection({.in_pixels = 2, .in_channels = 1, .pixels = {2}, .channels = {0}}),
              "have not");
  CHECK_FAILS(Selection({.pixels = {}, .channels = {0}}), "have not");
  CHECK(run(Multiplication(2, 2), {{1, 2, 3, 4}, {5, -1}}) == Rows{5, -2, 15, -4});
  const auto softmax = run(Softmax(2, 2), {{0, std::log(3.0f), 1000, 1000}});
  CHECK(softmax[1] == doctest::Approx(0.75));
  CHECK(softmax[2] == 0.5f);
}

namespace {

/// A depthwise convolution with what usually follows it, and other operations in a row.
InferencePlan operations_plan() {
  const GroupedConv2dShape shape{.in_h = 6,
                                 .in_w = 6,
                                 .in_c = 20,
                                 .out_c = 20,
                                 .groups = 20,
                                 .kernel_h = 3,
                                 .kernel_w = 3,
                                 .pad_h = {1, 1},
                                 .pad_w = {1, 1}};
  const auto operation = [](std::shared_ptr<const RowOperation> of, std::vector<int> inputs) {
    return InferenceStep{.kind = Kind::operation,
                         .name = "operation",
                         .inputs = std::move(inputs),
                         .operation = std::move(of)};
  };
  InferencePlan plan(6 * 6 * 20);
  const int sums = plan.add(operation(
      std::make_shared<GroupedConvolution>(shape, reference::reals(shape.weight_size(), 1)), {0}));
  const int scaled = plan.add({.kind = Kind::scaling,
                               .name = "scale",
                               .inputs = {sums},
                               .activation = {0.1f},
                               .outputs = 20,
                               .scale = reference::reals(20, 2),
                               .shift = reference::reals(20, 3)});
  const int limited = plan.add(
      operation(std::make_shared<Pointwise>(
                    PointwiseFunction{PointwiseFunction::Kind::clamp, -0.25f, 0.75f}, 6 * 6 * 20),
                {scaled}));
  const int both = plan.add(operation(
      std::make_shared<Concatenation>(36, std::vector<std::int64_t>{20, 20}), {limited, 0}));
  const int gated = plan.add(operation(std::make_shared<Multiplication>(1, 36 * 40), {both, both}));
  plan.add({.kind = Kind::dense,
            .name = "fc",
            .inputs = {gated},
            .outputs = 7,
            .weight = reference::reals(7 * 36 * 40, 4),
            .shift = reference::reals(7, 5)});
  return plan;
}

std::vector<float> evaluate(const InferencePlan& plan, Precision precision,
                            const std::vector<float>& x, std::span<const float> scales = {}) {
  const auto prepared = prepare_inference(plan, precision, scales);
  Memory workspace({}, static_cast<std::size_t>(prepared->workspace_size()));
  std::memset(workspace.data(), 0x5a, static_cast<std::size_t>(prepared->workspace_size()));
  const auto rows = std::ssize(x) / plan.sizes.front();
  std::vector<float> y(static_cast<std::size_t>(rows * plan.sizes.back()));
  prepared->run(rows, x.data(), y.data(), workspace.data());
  return y;
}

}  // namespace

TEST_CASE("a depthwise convolution takes scaling and clamp into its pass, and no more") {
  const InferencePlan plan = operations_plan(), folded = fold(plan);
  CHECK(folded.steps.size() == plan.steps.size() - 2);
  CHECK(folded.steps[0].name == "operation");
  const auto x = reference::reals(5 * plan.sizes.front(), 6);
  const auto separate = evaluate(plan, Precision::fp32, x),
             joined = evaluate(folded, Precision::fp32, x);
  for (std::size_t i = 0; i < separate.size(); ++i)
    CHECK(joined[i] == doctest::Approx(separate[i]).epsilon(1e-4));
  // A scaling of other channels than the convolution's stays by itself.
  InferencePlan by_value(4);
  const int sums = by_value.add({.name = "conv",
                                 .inputs = {0},
                                 .convolution = {.batch = 1,
                                                 .in_h = 2,
                                                 .in_w = 2,
                                                 .in_c = 1,
                                                 .out_c = 1,
                                                 .kernel_h = 1,
                                                 .kernel_w = 1,
                                                 .pad_h = {},
                                                 .pad_w = {}},
                                 .weight = {2.0f}});
  by_value.add({.kind = Kind::scaling,
                .name = "scale",
                .inputs = {sums},
                .outputs = 4,
                .scale = {1, 2, 3, 4},
                .shift = {0, 0, 0, 1}});
  CHECK(fold(by_value).steps.size() == 2);
  CHECK(evaluate(fold(by_value), Precision::fp32, {1, 1, 1, 1}) == std::vector<float>{2, 4, 6, 9});
}

TEST_CASE("row operations in a plan of any precision, whatever the other rows") {
  const InferencePlan plan = fold(operations_plan());
  const auto size = static_cast<std::size_t>(plan.sizes.front());
  const auto x = reference::reals(70 * plan.sizes.front(), 7);
  const auto exact = evaluate(plan, Precision::fp32, x);
  double most = 0.0;
  for (const float value : exact) most = std::max(most, std::abs(double{value}));
  std::vector<float> scales(plan.steps.size(), 0.01f);
  for (const Precision precision : {Precision::fp32, Precision::bf16, Precision::int8}) {
    if (!inference_obstacle(precision).empty()) continue;
    const auto given =
        precision == Precision::int8 ? std::span<const float>(scales) : std::span<const float>();
    const auto all = evaluate(plan, precision, x, given);
    for (std::size_t i = 0; i < all.size(); ++i)
      CHECK(std::abs(all[i] - exact[i]) <= (precision == Precision::fp32 ? 0.0 : 0.02) * most);
    const auto last = evaluate(plan, precision, {x.end() - std::ptrdiff_t(size), x.end()}, given);
    CHECK(std::equal(last.begin(), last.end(), all.end() - 7));
  }
}

TEST_CASE("a plan refuses operations that do not fit, and devices those that they have not") {
  InferencePlan plan(8);
  const auto add = [&](std::shared_ptr<const RowOperation> operation, std::vector<int> inputs) {
    return plan.add({.kind = Kind::operation,
                     .name = "join",
                     .inputs = std::move(inputs),
                     .operation = std::move(operation)});
  };
  CHECK_FAILS(add(nullptr, {0}), "step join of a plan has no operation");
  CHECK_FAILS(add(std::make_shared<Multiplication>(1, 4), {0, 0}),
              "step join of a plan (multiplication) takes rows of 4 and 4 values, not of 8 and 8");
  CHECK_FAILS(add(std::make_shared<Multiplication>(1, 8), {0}), "not of 8");
  add(std::make_shared<Softmax>(1, 8), {0});
  for (const Precision precision : {Precision::fp32, Precision::bf16})
    CHECK_FAILS(DeviceSchedule::make(plan, 4, precision),
                "layer join: devices have no kernel for softmax yet");
  CHECK_FAILS(
      DeviceSchedule::make(plan, 4, Precision::int8, true, Fusion::allowed, std::vector{0.0f}),
      "layer join: devices have no kernel for softmax yet");
}
