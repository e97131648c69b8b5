#include "kernels/device_schedule.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "layers/network.hpp"
#include "tests/layers/made_network.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;
using kernels::DeviceSchedule, kernels::Fusion, kernels::InferencePlan, kernels::InferenceStep,
    kernels::NetworkPlan, kernels::Precision;
using StepKind = InferenceStep::Kind;

namespace {

NetworkPlan plan_of(const layers::NetworkSpec& spec) {
  return lower(Stream(), layers::make_network(spec, 1));
}

layers::NetworkSpec wide_resnet(std::int64_t depth, std::int64_t widening) {
  return {.architecture = "wide-resnet",
          .height = 32,
          .width = 32,
          .channels = 3,
          .depth = depth,
          .widening = widening};
}

/// Such as "noise+bn1+conv1": what each launch does.
std::vector<std::string> launches(const DeviceSchedule& schedule, const InferencePlan& plan) {
  std::vector<std::string> all;
  for (const DeviceSchedule::Launch& launch : schedule.launches) {
    std::string text = launch.noise ? "noise" : "";
    for (const auto& step : {launch.prologue, launch.step, launch.epilogue})
      if (step) text += (text.empty() ? "" : "+") + plan.steps[*step].name;
    all.push_back(text);
  }
  return all;
}

}  // namespace

TEST_CASE("behind the noise every normalisation of a wide residual network is in a convolution") {
  const InferencePlan body = plan_of(wide_resnet(10, 1)).body;
  const auto schedule = DeviceSchedule::make(body, 4, Precision::bf16, true);
  CHECK(launches(schedule, body) ==
        std::vector<std::string>{"noise+layer1.0.bn1+layer1.0.conv1", "layer1.0.conv2+layer2.0.bn1",
                                 "layer2.0.shortcut", "layer2.0.conv1",
                                 "layer2.0.conv2+layer3.0.bn1", "layer3.0.shortcut",
                                 "layer3.0.conv1", "layer3.0.conv2+bn", "pool"});
  const auto apart = DeviceSchedule::make(body, 4, Precision::bf16, true, Fusion::none);
  CHECK(launches(apart, body)[0] == "noise");
  CHECK(launches(apart, body)[1] == "layer1.0.bn1");
  CHECK(apart.launches.size() == schedule.launches.size() + 2);
  // Only the last bn reads the last sum: that itself is never written.
  for (std::size_t i = 0; i < body.steps.size(); ++i)
    CHECK(schedule.values[i + 1].written == (body.steps[i].name != "layer3.0.conv2"));
  CHECK(std::ranges::count_if(schedule.values, &DeviceSchedule::Value::bf16) ==
        std::ssize(schedule.values) - 2);  // all but what the noise would write, and the features
}

TEST_CASE("a draw of WRN-28-10 moves 15 MB, less than half of what values in fp32 would") {
  const InferencePlan body = plan_of(wide_resnet(28, 10)).body;
  const auto bytes = [&](Precision precision) {
    return static_cast<double>(DeviceSchedule::make(body, 1, precision, true).bytes_per_row(body)) /
           1e6;
  };
  CHECK(bytes(Precision::bf16) < 16.0);
  CHECK(bytes(Precision::bf16) == doctest::Approx(14.9).epsilon(0.01));
  CHECK(bytes(Precision::fp32) > 2.2 * bytes(Precision::bf16));
}

TEST_CASE("on a device too, values that are needed at the same time never share memory") {
  for (const layers::NetworkSpec& spec :
       {wide_resnet(16, 2), tests::small_resnet_spec("resnet"),
        tests::small_resnet_spec("wide-resnet", 0), layers::NetworkSpec{}}) {
    const NetworkPlan network = plan_of(spec);
    const InferencePlan& body = network.body;
    for (const Precision precision : {Precision::bf16, Precision::fp32}) {
      for (const Fusion fusion : {Fusion::allowed, Fusion::none}) {
        const std::int64_t rows = 3;
        const auto s = DeviceSchedule::make(body, rows, precision, true, fusion);
        // Walk through the launches: a value is alive from the launch that writes it to the last
        // one that reads it.
        const auto touched = [&](const DeviceSchedule::Launch& launch) {
          std::vector<std::size_t> reads, writes;
          for (const auto& step : {launch.prologue, launch.step, launch.epilogue}) {
            if (!step) continue;
            writes.push_back(*step + 1);
            if (step == launch.step && !launch.noise)
              for (const int input : body.steps[*step].inputs)
                reads.push_back(static_cast<std::size_t>(input));
          }
          if (!launch.step) writes.push_back(0);
          return std::pair(reads, writes);
        };
        std::vector<std::size_t> born(s.values.size(), 0), dead(s.values.size(), 0);
        for (std::size_t l = 0; l < s.launches.size(); ++l) {
          const auto [reads, writes] = touched(s.launches[l]);
          for (const std::size_t v : writes) born[v] = dead[v] = l;
          for (const std::size_t v : reads) {
            CHECK(s.values[v].written);
            dead[v] = l;
          }
        }
        const auto in_memory = [&](std::size_t v) {
          return s.values[v].written && v != body.steps.size();
        };
        std::int64_t sum = 0;
        for (std::size_t a = 0; a < s.values.size(); ++a) {
          if (!in_memory(a)) continue;
          const std::int64_t end_a = s.values[a].at + rows * s.values[a].bytes();
          CHECK(end_a <= s.workspace);
          sum += rows * s.values[a].bytes();
          for (std::size_t b = 0; b < a; ++b) {
            if (!in_memory(b) || dead[a] < born[b] || dead[b] < born[a]) continue;
            const std::int64_t end_b = s.values[b].at + rows * s.values[b].bytes();
            CHECK((end_a <= s.values[b].at || end_b <= s.values[a].at));
          }
        }
        if (s.launches.size() > 6) CHECK(s.workspace < sum);
      }
    }
  }
}

TEST_CASE("what a plan returns is in fp32, whatever makes it") {
  // Noise inside the convolution would be a kernel, but that writes bf16.
  InferencePlan plan(8 * 8 * 16);
  plan.add({.kind = StepKind::scaling,
            .name = "bn",
            .inputs = {0},
            .outputs = 16,
            .scale = std::vector<float>(16, 1.0f),
            .shift = std::vector<float>(16, 0.0f)});
  plan.add({.kind = StepKind::convolution,
            .name = "conv",
            .inputs = {1},
            .convolution = {1, 8, 8, 16, 16, 3, 3, 1, {1, 1}, {1, 1}},
            .weight = std::vector<float>(16 * 16 * 9, 1.0f)});
  const auto last = DeviceSchedule::make(plan, 2, Precision::bf16, true);
  CHECK(launches(last, plan) == std::vector<std::string>{"noise", "bn", "conv"});
  CHECK_FALSE(last.values[2].bf16);
  plan.add({.kind = StepKind::pool, .name = "pool", .inputs = {2}, .outputs = 16});
  const auto more = DeviceSchedule::make(plan, 2, Precision::bf16, true);
  CHECK(launches(more, plan) == std::vector<std::string>{"noise+bn+conv", "pool"});
  CHECK(more.values[2].bf16);
}

TEST_CASE("a schedule refuses what devices do not calculate") {
  CHECK_FAILS(DeviceSchedule::make(InferencePlan(3), 1, Precision::fp32), "makes nothing");
  CHECK_NOTHROW(DeviceSchedule::make(InferencePlan(3), 1, Precision::fp32, true));
  InferencePlan plan(12);
  plan.add({.kind = StepKind::standardise, .name = "s", .inputs = {0}});
  CHECK_NOTHROW(DeviceSchedule::make(plan, 1, Precision::fp32));
  CHECK_FAILS(DeviceSchedule::make(plan, 1, Precision::bf16), "standardised in fp32 only");
  for (const Precision refused : {Precision::int8, Precision::tf32})
    CHECK_FAILS(DeviceSchedule::make(plan, 1, refused), "fp32 or bf16");
  plan.add({.kind = StepKind::noise, .name = "n", .inputs = {1}});
  CHECK_FAILS(DeviceSchedule::make(plan, 1, Precision::fp32), "noise is drawn between two plans");
}
