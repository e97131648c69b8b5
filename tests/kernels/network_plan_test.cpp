#include <algorithm>
#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include "engine/buffer.hpp"
#include "kernels/inference.hpp"
#include "kernels/placement.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/reference/values.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;
using kernels::InferencePlan, kernels::InferenceStep, kernels::Precision;
using Kind = InferenceStep::Kind;

namespace {

constexpr std::int64_t channels = 8, values = 4 * 4 * channels;

InferenceStep convolution(const char* name, int x, std::uint64_t seed) {
  return {.kind = Kind::convolution,
          .name = name,
          .inputs = {x},
          .convolution = reference::same(1, 4, 4, channels, channels, 3, 1),
          .weight = reference::integers(channels * channels * 9, 2, seed)};
}

InferenceStep scaling(const char* name, int x, std::uint64_t seed, float slope = 0.5f) {
  return {.kind = Kind::scaling,
          .name = name,
          .inputs = {x},
          .activation = {slope},
          .outputs = channels,
          .scale = reference::integers(channels, 2, seed),
          .shift = reference::integers(channels, 3, seed + 1)};
}

InferenceStep addition(int a, int b, float slope = 1.0f) {
  return {.kind = Kind::addition, .name = "sum", .inputs = {a, b}, .activation = {slope}};
}

std::vector<float> evaluate(const InferencePlan& plan, Precision precision, std::int64_t rows) {
  std::vector<float> scales;
  if (precision == Precision::int8) scales.assign(plan.steps.size(), 1.0f);
  const auto inference = kernels::prepare_inference(plan, precision, scales);
  const auto x = reference::integers(rows * plan.sizes.front(), 1, 77);
  std::vector<float> y(static_cast<std::size_t>(rows * plan.sizes.back()));
  const Memory workspace({}, static_cast<std::size_t>(inference->workspace_size()));
  inference->run(rows, x.data(), y.data(), workspace.data());
  return y;
}

std::vector<std::string> names(const InferencePlan& plan) {
  std::vector<std::string> all;
  for (const InferenceStep& step : plan.steps) all.push_back(step.name);
  return all;
}

/// A residual unit as its layers are lowered: bn1, conv1, bn2, conv2, and the sum.
InferencePlan unit() {
  InferencePlan plan(values);
  const int a = plan.add(scaling("bn1", 0, 1));
  int y = plan.add(convolution("conv1", a, 3));
  y = plan.add(scaling("bn2", y, 4));
  y = plan.add(convolution("conv2", y, 6));
  plan.add(addition(y, 0, 0.5f));
  return plan;
}

}  // namespace

TEST_CASE("folded, a residual unit is three steps and the same function") {
  const InferencePlan plan = unit(), folded = kernels::fold(unit());
  CHECK(names(folded) == std::vector<std::string>{"bn1", "conv1", "conv2"});
  CHECK(folded.steps[1].activation.slope == 0.5f);
  CHECK(folded.steps[2].inputs == std::vector<int>{2, 0});
  CHECK(folded.steps[2].activation.slope == 0.5f);
  const auto expected = evaluate(plan, Precision::fp32, 3);
  CHECK(*std::ranges::max_element(expected) > 100.0f);
  CHECK(evaluate(folded, Precision::fp32, 3) == expected);  // integers and halves
}

TEST_CASE("what others read too, or is no bare sum, is not folded") {
  const auto count = [](auto build) {
    InferencePlan plan(values);
    build(plan);
    return kernels::fold(std::move(plan)).steps.size();
  };
  // The sums are read twice.
  CHECK(count([](InferencePlan& p) {
          const int y = p.add(convolution("conv", 0, 1));
          p.add(addition(p.add(scaling("bn", y, 2)), y));
        }) == 3);
  // An activation lies between.
  CHECK(count([](InferencePlan& p) {
          InferenceStep step = convolution("conv", 0, 1);
          step.activation = {0.0f};
          p.add(scaling("bn", p.add(std::move(step)), 2));
        }) == 2);
  // Scaled twice.
  CHECK(count([](InferencePlan& p) {
          p.add(scaling("bn", p.add(scaling("bn", p.add(convolution("c", 0, 1)), 2, 1.0f)), 3));
        }) == 2);
  // A value plus itself, and values of which neither comes from a convolution.
  CHECK(count([](InferencePlan& p) {
          const int y = p.add(convolution("conv", 0, 1));
          p.add(addition(y, y));
        }) == 2);
  CHECK(count([](InferencePlan& p) { p.add(addition(p.add(scaling("bn", 0, 1)), 0)); }) == 2);
  // The later of two convolutions takes the sum.
  InferencePlan two(values);
  const int a = two.add(convolution("first", 0, 1)), b = two.add(convolution("second", 0, 2));
  two.add(addition(b, a));
  two = kernels::fold(std::move(two));
  CHECK(names(two) == std::vector<std::string>{"first", "second"});
  CHECK(two.steps[1].inputs == std::vector<int>{0, 1});
}

TEST_CASE("a sum by itself is exact on integers, in every precision") {
  for (const Precision precision : {Precision::fp32, Precision::bf16, Precision::int8}) {
    if (!kernels::inference_obstacle(precision).empty()) continue;
    for (const bool read_by_product : {false, true}) {
      InferencePlan plan(values);
      const int a = plan.add(scaling("bn", 0, 3));
      const int sum = plan.add(addition(a, 0, 0.5f));
      if (read_by_product) plan.add(convolution("conv", plan.add(addition(sum, 0)), 5));
      const auto x = reference::integers(2 * values, 1, 77), scale = plan.steps[0].scale,
                 shift = plan.steps[0].shift;
      std::vector<float> expected;
      for (std::size_t i = 0; i < x.size(); ++i) {
        const std::size_t c = i % channels;
        const float bn = x[i] * scale[c] + shift[c], y = (bn > 0 ? bn : bn / 2) + x[i];
        expected.push_back(y > 0 ? y : y / 2);
      }
      if (!read_by_product) {
        CHECK(evaluate(plan, precision, 2) == expected);
        continue;
      }
      // Quarters are no whole numbers: int8 rounds them, the others do not.
      const auto got = evaluate(plan, precision, 2), exact = evaluate(plan, Precision::fp32, 2);
      double largest = 0.0;
      for (std::size_t i = 0; i < got.size(); ++i)
        largest = std::max(largest, std::abs(double{got[i]} - double{exact[i]}));
      CHECK(largest <= (precision == Precision::int8 ? 0.5 * 2 * 9 * channels : 0.0));
    }
  }
}

TEST_CASE("a plan refuses steps that cannot be, and noise in its midst") {
  InferencePlan plan(values);
  CHECK_FAILS(plan.add({.kind = Kind::addition, .name = "sum", .inputs = {0}}),
              "step sum of a plan cannot read 1 values");
  CHECK_FAILS(plan.add({.kind = Kind::standardise, .name = "s", .inputs = {}}), "read 0 values");
  CHECK_FAILS(plan.add({.kind = Kind::standardise, .name = "s", .inputs = {0, 0}}), "2 values");
  InferenceStep short_scale = scaling("bn", 0, 1), no_shift = scaling("bn", 0, 1),
                short_weight = convolution("conv", 0, 1), alone = convolution("conv", 0, 1);
  short_scale.scale.pop_back();
  CHECK_FAILS(plan.add(short_scale), "step bn of a plan has 8 outputs, but 7 scales and 8 shifts");
  no_shift.shift.clear();
  CHECK_FAILS(plan.add(no_shift), "8 scales and 0 shifts");
  short_weight.weight.pop_back();
  CHECK_FAILS(plan.add(short_weight), "step conv of a plan has 575 weights, not 576");
  alone.scale.assign(8, 1.0f);
  CHECK_FAILS(plan.add(alone), "8 scales and 0 shifts");
  CHECK_FAILS(plan.add({.kind = Kind::dense, .name = "fc", .inputs = {0}}), "makes no value");
  plan.add({.kind = Kind::standardise, .name = "s", .inputs = {0}});
  CHECK_NOTHROW(kernels::prepare_inference(plan, Precision::fp32));
  CHECK_FAILS(kernels::prepare_inference(plan, Precision::int8, std::vector<float>{1.0f}),
              "layer s: images are standardised in fp32 only");
  plan.add({.kind = Kind::noise, .name = "n", .inputs = {1}});
  CHECK_FAILS(kernels::prepare_inference(plan, Precision::fp32),
              "layer n: noise is drawn between two plans");
}

TEST_CASE("values that are needed at the same time never share a place") {
  struct Value {
    std::int64_t at, bytes;
    std::size_t first, last;
  };
  kernels::Placement placement;
  std::vector<Value> taken;
  std::int64_t all = 0;
  for (std::size_t i = 0; i < 60; ++i) {
    const std::int64_t bytes = 1 + static_cast<std::int64_t>(i * 7919 % 1000);
    const std::size_t first = i / 2, last = first + i * 31 % 5;
    taken.push_back({placement.take(bytes, first, last), bytes, first, last});
    all += bytes;
  }
  for (const Value& a : taken) {
    CHECK(a.at % kernels::Placement::alignment == 0);
    CHECK(a.at + a.bytes <= placement.size());
    for (const Value& b : taken) {
      if (&a == &b || a.last < b.first || b.last < a.first) continue;
      CHECK((a.at + a.bytes <= b.at || b.at + b.bytes <= a.at));
    }
  }
  CHECK(placement.size() < all / 2);
}
