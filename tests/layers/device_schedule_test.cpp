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

/// Bytes of values that the launches of a row read and write; weights aside.
std::int64_t bytes_per_row(const DeviceSchedule& schedule, const InferencePlan& plan) {
  std::int64_t bytes = 0;
  const auto write = [&](std::size_t made) {
    const DeviceSchedule::Value& value = schedule.values[made];
    bytes += (value.written ? value.bytes() : 0) + (value.in_int8 ? value.size : 0);
  };
  for (const DeviceSchedule::Launch& launch : schedule.launches) {
    if (!launch.step) {
      write(0);
      if (!launch.noise) bytes += schedule.values[0].bytes();
      continue;
    }
    const InferenceStep& step = plan.steps[*launch.step];
    if (!launch.noise) {
      for (const int input : step.inputs) {
        const DeviceSchedule::Value& value = schedule.values[static_cast<std::size_t>(input)];
        const bool multiplied = step.multiplies() && input == step.input();
        bytes += multiplied && value.in_int8 ? value.size : value.bytes();
      }
    }
    if (launch.prologue) write(*launch.prologue + 1);
    write(*launch.step + 1);
    if (launch.epilogue) write(*launch.epilogue + 1);
  }
  return bytes;
}

/// For int8; empty for the others.
std::vector<float> scales_for(const InferencePlan& plan, Precision precision) {
  return std::vector<float>(precision == Precision::int8 ? plan.steps.size() : 0, 0.1f);
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
  // Noise on a lattice is a kernel of its own.
  const auto on_lattice = DeviceSchedule::make(body, 4, Precision::bf16, true, Fusion::allowed, {},
                                               kernels::Prefixes::lattice);
  CHECK(launches(on_lattice, body) == launches(apart, body));
  CHECK_FAILS(on_lattice.check_run(true), "takes no prefixes in floats");
  CHECK_FAILS(on_lattice.check_run(false), "takes draws");
  // Only the last bn reads the last sum: that itself is never written.
  for (std::size_t i = 0; i < body.steps.size(); ++i)
    CHECK(schedule.values[i + 1].written == (body.steps[i].name != "layer3.0.conv2"));
  CHECK(std::ranges::count_if(schedule.values, &DeviceSchedule::Value::bf16) ==
        std::ssize(schedule.values) - 2);  // all but what the noise would write, and the features
}

TEST_CASE("a draw of WRN-28-10 moves 15 MB, less than half of what values in fp32 would") {
  const InferencePlan body = plan_of(wide_resnet(28, 10)).body;
  const auto bytes = [&](Precision precision) {
    return static_cast<double>(
               bytes_per_row(DeviceSchedule::make(body, 1, precision, true), body)) /
           1e6;
  };
  CHECK(bytes(Precision::bf16) < 16.0);
  CHECK(bytes(Precision::bf16) == doctest::Approx(14.9).epsilon(0.01));
  CHECK(bytes(Precision::fp32) > 2.2 * bytes(Precision::bf16));
}

TEST_CASE("in int8 products write the bytes that products read, and real values beside them") {
  const InferencePlan body = plan_of(wide_resnet(10, 1)).body;
  const auto scales = scales_for(body, Precision::int8);
  const auto schedule =
      DeviceSchedule::make(body, 4, Precision::int8, true, Fusion::allowed, scales);
  CHECK(launches(schedule, body) ==
        std::vector<std::string>{
            "noise", "layer1.0.bn1", "layer1.0.conv1", "layer1.0.conv2+layer2.0.bn1",
            "layer2.0.shortcut", "layer2.0.conv1", "layer2.0.conv2+layer3.0.bn1",
            "layer3.0.shortcut", "layer3.0.conv1", "layer3.0.conv2+bn", "pool"});
  for (std::size_t i = 0; i < body.steps.size(); ++i) {
    const std::string& name = body.steps[i].name;
    CAPTURE(name);
    const DeviceSchedule::Value& made = schedule.values[i + 1];
    // Products read what normalisations make, and the second of two convolutions the first. Of
    // these only the first unit's normalisation is added as well; the last sum is read by the last
    // normalisation alone, which the same kernel makes.
    const bool multiplied = name.ends_with("bn1") || name.ends_with("conv1");
    CHECK(made.in_int8 == multiplied);
    CHECK((made.inverse_scale > 0.0f) == multiplied);
    CHECK(made.written == (name == "layer1.0.bn1" || (!multiplied && name != "layer3.0.conv2")));
  }
  // A quarter of what fp32 takes for what is multiplied, and all of it for sums.
  const auto bytes = [&](Precision precision) {
    return bytes_per_row(DeviceSchedule::make(body, 1, precision, true, Fusion::allowed,
                                              scales_for(body, precision)),
                         body);
  };
  CHECK(bytes(Precision::int8) < bytes(Precision::fp32) * 2 / 3);

  // Noise that a product reads is never real, unless its channels fill no vector of 16.
  const InferencePlan cnn = plan_of({}).body;
  const auto noise = DeviceSchedule::make(cnn, 4, Precision::int8, true, Fusion::allowed,
                                          scales_for(cnn, Precision::int8));
  CHECK(noise.values[0].in_int8);
  CHECK_FALSE(noise.values[0].written);
  const InferencePlan image = plan_of({.noise_after_layers = 0}).body;
  const auto grey = DeviceSchedule::make(image, 4, Precision::int8, true, Fusion::allowed,
                                         scales_for(image, Precision::int8));
  CHECK_FALSE(grey.values[0].in_int8);
  CHECK(grey.values[0].written);
  CHECK(grey.values[0].inverse_scale == 10.0f);
}

TEST_CASE("what lies before the noise has a processor's bits where its sums have one order") {
  const auto difference = [](const layers::NetworkSpec& spec) {
    return fp32_difference(plan_of(spec).prefix);
  };
  CHECK(difference({}) == "");
  CHECK(difference({.noise_after_layers = 0}) == "");
  CHECK(difference(wide_resnet(10, 1)) == "");
  CHECK(difference({.noise_after_layers = 2}).find("layer conv2") != std::string::npos);
  InferencePlan plan(12);
  plan.add({.kind = StepKind::dense,
            .name = "fc",
            .inputs = {0},
            .outputs = 1,
            .weight = std::vector<float>(12, 1.0f)});
  CHECK(fp32_difference(plan).find("layer fc is a dense one") != std::string::npos);
  InferencePlan scaled(16);
  scaled.add({.name = "conv",
              .inputs = {0},
              .convolution = {1, 4, 4, 1, 1, 1, 1, 1, {}, {}},
              .weight = {1.0f},
              .scale = {2.0f},
              .shift = {0.0f}});
  CHECK(fp32_difference(scaled).find("layer conv has scales") != std::string::npos);
}

TEST_CASE("on a device too, values that are needed at the same time never share memory") {
  for (const layers::NetworkSpec& spec :
       {wide_resnet(16, 2), tests::small_resnet_spec("resnet"),
        tests::small_resnet_spec("wide-resnet", 0), layers::NetworkSpec{}}) {
    const NetworkPlan network = plan_of(spec);
    const InferencePlan& body = network.body;
    for (const Precision precision : {Precision::bf16, Precision::fp32, Precision::int8}) {
      for (const Fusion fusion : {Fusion::allowed, Fusion::none}) {
        const std::int64_t rows = 3;
        const auto s =
            DeviceSchedule::make(body, rows, precision, true, fusion, scales_for(body, precision));
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
            CHECK((s.values[v].written || s.values[v].in_int8));
            dead[v] = l;
          }
        }
        struct Place {
          std::size_t value;
          std::int64_t begin, end;
        };
        std::vector<Place> places;
        for (std::size_t v = 0; v < s.values.size(); ++v) {
          const DeviceSchedule::Value& value = s.values[v];
          if (value.written && v != body.steps.size())
            places.push_back({v, value.at, value.at + rows * value.bytes()});
          if (value.in_int8)
            places.push_back({v, value.int8_at, value.int8_at + rows * value.size});
        }
        std::int64_t sum = 0;
        for (std::size_t i = 0; i < places.size(); ++i) {
          const Place& a = places[i];
          CHECK(a.end <= s.workspace);
          sum += a.end - a.begin;
          for (std::size_t j = 0; j < i; ++j) {
            const Place& b = places[j];
            if (dead[a.value] < born[b.value] || dead[b.value] < born[a.value]) continue;
            CHECK((a.end <= b.begin || b.end <= a.begin));
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
  CHECK_FAILS(DeviceSchedule::make(plan, 1, Precision::tf32), "fp32, bf16 or int8");
  plan.add({.kind = StepKind::noise, .name = "n", .inputs = {1}});
  CHECK_FAILS(DeviceSchedule::make(plan, 1, Precision::fp32), "noise is drawn between two plans");
}
