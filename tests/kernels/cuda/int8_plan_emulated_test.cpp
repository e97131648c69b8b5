#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "engine/buffer.hpp"
#include "engine/captured_graph.hpp"
#include "kernels/cuda/convolution_int8.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/device_plan.hpp"
#include "kernels/emulator/memory.hpp"
#include "kernels/lattice_noise.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/reference/plan.hpp"
#include "tests/reference/values.hpp"
#include "tests/throws_error.hpp"

/// Plans in int8 on the emulated device against the processor's: the same bits.
namespace pixeldp::kernels {
namespace {

using emulated::DeviceArray;
using reference::reals, reference::same, reference::with_padding;
using Kind = InferenceStep::Kind;

std::vector<std::uint32_t> bits(const std::vector<float>& values) {
  std::vector<std::uint32_t> result;
  for (const float v : values) result.push_back(std::bit_cast<std::uint32_t>(v));
  return result;
}

/// Scales that use the range well, but clamp a little: values are below 1 at first, sums of them
/// larger.
std::vector<float> scales_for(const InferencePlan& plan, float first = 1.0f / 100) {
  std::vector<float> scales(plan.steps.size(), 0.0f);
  for (std::size_t i = 0; i < scales.size(); ++i)
    if (plan.steps[i].multiplies()) scales[i] = plan.steps[i].input() == 0 ? first : 3.0f * first;
  return scales;
}

std::vector<float> on_processor(const InferencePlan& plan, const std::vector<float>& scales,
                                const std::vector<float>& x) {
  const auto inference = prepare_inference(plan, Precision::int8, scales);
  const auto rows = std::ssize(x) / plan.sizes.front();
  std::vector<float> y(static_cast<std::size_t>(rows * plan.sizes.back()));
  const Memory workspace({}, static_cast<std::size_t>(inference->workspace_size()));
  inference->run(rows, x.data(), y.data(), workspace.data());
  return y;
}

/// With work that waits in its stream until somebody does; twice, and the second run must not see
/// the first.
std::vector<float> on_device(const InferencePlan& plan, const std::vector<float>& scales,
                             const std::vector<float>& x) {
  emulator::Settings delayed = emulator::settings();
  delayed.delay_streams = true;
  const emulator::WithSettings with(delayed);
  const Stream stream(Device{DeviceKind::emulated});
  const auto rows = std::ssize(x) / plan.sizes.front();
  const auto prepared = prepare_device_plan(
      stream, plan,
      DeviceSchedule::make(plan, rows, Precision::int8, false, Fusion::allowed, scales));
  const DeviceArray<float> device_x(x), y(static_cast<std::size_t>(rows * plan.sizes.back()));
  for (int run = 0; run < 2; ++run) prepared->run(device_x.data(), y.data());
  stream.synchronize();
  return y.values();
}

void check_parity(const InferencePlan& plan, std::int64_t rows, std::uint64_t seed = 1) {
  const auto scales = scales_for(plan);
  const auto x = reals(rows * plan.sizes.front(), seed);
  const auto expected = on_processor(plan, scales, x);
  if (expected.size() > 8)
    CHECK(std::ranges::count(expected, expected.front()) < std::ssize(expected));
  CHECK(bits(on_device(plan, scales, x)) == bits(expected));
}

// Every remainder of channels that vectors of 16 leave, on both sides; stride 1, 2 and more; SAME
// padding that is symmetric, lopsided and none; first layers of the networks, smaller.
const std::vector<Conv2dShape> shapes = {
    same(2, 7, 7, 1, 32, 5, 2),
    same(1, 8, 8, 3, 16, 3, 1),
    same(1, 9, 9, 3, 5, 10, 2),
    same(3, 1, 1, 1, 2, 1, 1),
    same(2, 5, 4, 33, 40, 3, 1),
    same(2, 6, 7, 16, 12, 3, 2),
    same(1, 7, 6, 32, 3, 4, 2),
    same(1, 7, 7, 32, 64, 5, 2),
    same(1, 9, 8, 48, 33, 1, 2),
    with_padding({1, 7, 9, 16, 9, 2, 3, 1, {}, {}}, {0, 2}, {3, 0}),
    with_padding({2, 8, 8, 7, 10, 3, 2, 3, {}, {}}, {0, 0}, {1, 0})};

TEST_CASE("a convolution in int8 has the processor's bits on a device") {
  for (const Conv2dShape& s : shapes) {
    CAPTURE(describe(s));
    const auto weight = reals(s.weight_size(), 2), scale = reals(s.out_c, 3),
               shift = reals(s.out_c, 4);
    const std::vector<float> none;
    for (const int parts : {0, 1, 3})
      for (const float slope : {1.0f, 0.0f, 0.1f}) {
        CAPTURE(parts);
        CAPTURE(slope);
        check_parity(reference::plan_of(
                         s.in_h * s.in_w * s.in_c,
                         {reference::convolution_step(s, weight, {slope}, parts & 2 ? scale : none,
                                                      parts & 1 ? shift : none)}),
                     s.batch);
      }
  }
}

TEST_CASE("a dense layer in int8 has the processor's bits on a device") {
  for (const auto& [rows, in, out] :
       {std::array{1, 1, 2}, std::array{3, 16, 7}, std::array{17, 129, 33}, std::array{5, 320, 136},
        std::array{130, 32, 8}}) {
    CAPTURE(in);
    check_parity(reference::plan_of(in, {reference::dense_step(reals(in * out, 5), reals(out, 6),
                                                               Activation::relu())}),
                 rows);
  }
}

struct Builder {
  InferencePlan plan;
  std::uint64_t seed = 100;

  explicit Builder(std::int64_t size) : plan(size) {}
  int scaling(int input, std::int64_t channels, float slope = 0.1f) {
    return plan.add({.kind = Kind::scaling,
                     .name = "bn" + std::to_string(++seed),
                     .inputs = {input},
                     .activation = {slope},
                     .outputs = channels,
                     .scale = reals(channels, ++seed),
                     .shift = reals(channels, ++seed)});
  }
  int convolution(std::vector<int> inputs, const Conv2dShape& shape, float slope = 0.1f) {
    return plan.add({.name = "conv" + std::to_string(++seed),
                     .inputs = std::move(inputs),
                     .activation = {slope},
                     .convolution = shape,
                     .weight = reals(shape.weight_size(), ++seed),
                     .scale = reals(shape.out_c, ++seed),
                     .shift = reals(shape.out_c, ++seed)});
  }
  int shortcut(int input, ShortcutShape shape) {
    return plan.add(
        {.kind = Kind::shortcut, .name = "shortcut", .inputs = {input}, .shortcut_shape = shape});
  }
  int dense(int input, std::int64_t in, std::int64_t out) {
    return plan.add({.kind = Kind::dense,
                     .name = "fc" + std::to_string(++seed),
                     .inputs = {input},
                     .activation = Activation::relu(),
                     .outputs = out,
                     .weight = reals(in * out, ++seed),
                     .shift = reals(out, ++seed)});
  }
  int addition(int a, int b) {
    return plan.add(
        {.kind = Kind::addition, .name = "sum", .inputs = {a, b}, .activation = {0.2f}});
  }
  int pool(int input, std::int64_t channels) {
    return plan.add({.kind = Kind::pool, .name = "pool", .inputs = {input}, .outputs = channels});
  }
};

/// Two pre-activated units, the first with a shortcut around it, a last normalisation, a pool and a
/// dense layer.
InferencePlan residual_plan(std::int64_t in, std::int64_t out, ShortcutKind kind) {
  Builder b(8 * 8 * in);
  const int first = b.scaling(0, in);
  const int around = b.shortcut(
      first,
      {.batch = 1, .in_h = 8, .in_w = 8, .in_c = in, .out_c = out, .stride = 2, .kind = kind});
  const int one = b.convolution({first}, same(1, 8, 8, in, out, 3, 2));
  const int sum = b.convolution({one, around}, same(1, 4, 4, out, out, 3, 1), 1.0f);
  const int second = b.scaling(sum, out);
  const int two = b.convolution({second}, same(1, 4, 4, out, out, 3, 1));
  const int last = b.convolution({two, sum}, same(1, 4, 4, out, out, 3, 1), 1.0f);
  b.dense(b.pool(b.scaling(last, out), out), out, 10);
  return b.plan;
}

TEST_CASE("a residual network in int8 has the processor's bits on a device") {
  for (const ShortcutKind kind : {ShortcutKind::average, ShortcutKind::subsample})
    for (const auto& [in, out] : {std::pair{16, 32}, {16, 16}, {6, 20}, {4, 16}})
      for (const std::int64_t rows : {1, 5}) {
        CAPTURE(in);
        CAPTURE(rows);
        check_parity(residual_plan(in, out, kind), rows);
      }
}

TEST_CASE("networks in int8 by warpgroups have the processor's bits on a device") {
  Arch hopper = sm_90;
  hopper.multiprocessors = 1;  // so that large tiles pay for few rows
  const emulator::WithSettings with(hopper);
  for (const auto& [in, out] : {std::pair{64, 128}, {40, 156}}) {
    CAPTURE(in);
    const std::int64_t rows = 16;
    for (const Conv2dShape& s : {same(rows, 8, 8, in, out, 3, 2), same(rows, 4, 4, out, out, 3, 1)})
      CHECK(Int8ConvKernel::choose(s, hopper).wgmma_channels > 0);
    check_parity(residual_plan(in, out, ShortcutKind::average), rows);
  }
}

TEST_CASE("whatever reads a value in int8, as bytes or real, reads the processor's") {
  const Conv2dShape s = same(1, 4, 4, 16, 16, 3, 1), narrow = same(1, 4, 4, 4, 4, 3, 1);
  {
    CAPTURE("the input by products, a sum and a shortcut; a shortcut read by a product");
    Builder b(4 * 4 * 16);
    const int around =
        b.shortcut(0, {.batch = 1, .in_h = 4, .in_w = 4, .in_c = 16, .out_c = 32, .stride = 2});
    const int a = b.convolution({0}, s), c = b.convolution({a, 0}, s);
    const int sum = b.addition(c, 0);
    const int small = b.convolution({around}, same(1, 2, 2, 32, 16, 3, 1));
    const int wide = b.convolution({sum, b.convolution({sum}, s)}, s);
    b.addition(b.dense(small, 64, 256), wide);
    check_parity(b.plan, 3);
  }
  {
    CAPTURE("a product read by products, by two scalings of which one is fused, and as a residual");
    Builder b(4 * 4 * 16);
    const int a = b.convolution({0}, s, 1.0f);
    const int x = b.scaling(a, 16), y = b.scaling(a, 16);
    b.convolution({b.convolution({x, a}, s), b.convolution({y, b.convolution({a}, s)}, s)}, s);
    check_parity(b.plan, 2);
  }
  {
    CAPTURE("four channels, which convolutions round themselves and a dense layer reads as rows");
    Builder b(4 * 4 * 4);
    const int a = b.convolution({0}, narrow);
    b.dense(b.scaling(a, 4), 64, 5);
    check_parity(b.plan, 3);
    Builder c(4 * 4 * 4);
    const int both = c.convolution({0}, narrow);
    c.addition(c.convolution({both}, narrow), c.dense(both, 64, 64));
    check_parity(c.plan, 3);
  }
  {
    CAPTURE("a normalisation that is the last step, fused with the product before it");
    Builder b(4 * 4 * 16);
    b.scaling(b.convolution({0}, s, 1.0f), 16);
    check_parity(b.plan, 2);
  }
  {
    CAPTURE("a pool that a product reads as bytes, and which is written real for a sum");
    Builder b(4 * 4 * 16);
    const int mean = b.pool(0, 16);
    b.addition(b.dense(mean, 16, 16), mean);
    check_parity(b.plan, 4);
  }
}

TEST_CASE("behind the noise the rows are the processor's, whoever reads it") {
  const Stream stream(Device{DeviceKind::emulated});
  const std::vector<NoiseRow> rows = {{1, 4, 7}, {0, 9, 7}, {1, 4, 8}, {1, 4, 9}, {0, 9, 1}};
  const auto count = std::ssize(rows);
  NoiseParams noise{NoiseDistribution::gaussian, 0.3f, 5, StreamTag::estimation, {0.1f}};
  const auto check = [&](const InferencePlan& plan, bool in_int8, bool in_fp32) {
    const auto prefixes = reals(2 * plan.sizes.front(), 12);
    std::vector<float> noisy(static_cast<std::size_t>(count * plan.sizes.front()));
    add_noise(Stream(), noise, rows.data(), count, plan.sizes.front(), prefixes.data(),
              noisy.data());
    const auto expected = plan.steps.empty() ? noisy : on_processor(plan, scales_for(plan), noisy);
    const auto schedule =
        DeviceSchedule::make(plan, count, Precision::int8, true, Fusion::allowed, scales_for(plan));
    CHECK(schedule.values[0].in_int8 == in_int8);
    CHECK(schedule.values[0].written == in_fp32);
    const DeviceArray<NoiseRow> device_rows(rows);
    const DeviceArray<float> device_prefixes(prefixes), y(expected.size());
    const auto prepared = prepare_device_plan(stream, plan, schedule);
    prepared->run({noise, device_rows.data()}, device_prefixes.data(), y.data());
    CHECK(bits(y.values()) == bits(expected));
    if (noise.distribution == NoiseDistribution::none) return;

    // The same of steps of a lattice.
    std::vector<std::int32_t> steps;
    for (const float value : prefixes) steps.push_back(static_cast<std::int32_t>(value * 1e6f));
    add_lattice_noise(noise, rows.data(), count, plan.sizes.front(), steps.data(), noisy.data());
    const auto on_lattice =
        plan.steps.empty() ? noisy : on_processor(plan, scales_for(plan), noisy);
    const DeviceArray<std::int32_t> device_steps(steps);
    const auto lattice = prepare_device_plan(
        stream, plan,
        DeviceSchedule::make(plan, count, Precision::int8, true, Fusion::allowed, scales_for(plan),
                             Prefixes::lattice));
    lattice->run({noise, device_rows.data()}, device_steps.data(), y.data());
    CHECK(bits(y.values()) == bits(on_lattice));
    CHECK_FAILS(lattice->run({noise, device_rows.data()}, device_prefixes.data(), y.data()),
                "a plan of noise on a lattice takes no prefixes in floats");
    CHECK_FAILS(prepared->run({noise, device_rows.data()}, device_steps.data(), y.data()),
                "a plan of noise in floats takes no prefixes on a lattice");
  };
  const Conv2dShape s = same(1, 4, 4, 16, 16, 3, 1);
  Builder product(4 * 4 * 16), scaled(4 * 4 * 16), both(4 * 4 * 16), narrow(6 * 6 * 3);
  product.convolution({0}, s);
  scaled.convolution({scaled.scaling(0, 16)}, s);
  both.convolution({both.convolution({0}, s), 0}, s);
  narrow.convolution({0}, same(1, 6, 6, 3, 8, 3, 1));
  for (const auto distribution :
       {NoiseDistribution::none, NoiseDistribution::gaussian, NoiseDistribution::laplace}) {
    noise.distribution = distribution;
    check(product.plan, true, false);
    check(scaled.plan, false, true);
    check(both.plan, true, true);
    check(narrow.plan, false, true);
    check(InferencePlan(12), false, true);
  }
}

TEST_CASE("a plan in int8 can be recorded, and gives its memory back") {
  const Stream stream(Device{DeviceKind::emulated});
  const std::size_t live = emulator::device_memory().live_allocations();
  {
    const InferencePlan plan = residual_plan(6, 20, ShortcutKind::average);
    const auto scales = scales_for(plan);
    const DeviceArray<float> x(2 * 8 * 8 * 6), y(2 * 10);
    const auto prepared = prepare_device_plan(
        stream, plan,
        DeviceSchedule::make(plan, 2, Precision::int8, false, Fusion::allowed, scales));
    const CapturedGraph graph(stream, [&] { prepared->run(x.data(), y.data()); });
    for (const std::uint64_t seed : {12, 13}) {
      const auto values = reals(2 * 8 * 8 * 6, seed);
      stream.synchronize();
      std::ranges::copy(values, x.data());
      graph.launch();
      stream.synchronize();
      CHECK(y.values() == on_processor(plan, scales, values));
    }
  }
  stream.synchronize();
  CHECK(emulator::device_memory().live_allocations() == live);
}

TEST_CASE("schedules in int8 refuse what processors refuse, by the name of the layer") {
  const auto make = [](const InferencePlan& plan, const std::vector<float>& scales) {
    DeviceSchedule::make(plan, 1, Precision::int8, false, Fusion::allowed, scales);
  };
  const auto refused = [&](const InferencePlan& plan, const std::vector<float>& scales,
                           const char* why) {
    CHECK_FAILS(make(plan, scales), why);
    CHECK_FAILS((void)prepare_inference(plan, Precision::int8, scales), why);
  };
  Builder one(10);
  one.dense(0, 10, 2);
  CHECK_NOTHROW(make(one.plan, {0.1f}));
  refused(one.plan, {}, "0 scales for a plan of 1 steps");
  for (const float scale : {0.0f, -1.0f, NAN, INFINITY, 1e-40f})
    refused(one.plan, {scale}, "is no scale for what it reads");
  Builder two(10);
  two.addition(two.dense(0, 10, 2), two.dense(0, 10, 2));
  CHECK_NOTHROW(make(two.plan, {0.1f, 0.1f, 0.0f}));
  refused(two.plan, {0.1f, 0.2f, 0.0f}, "on another scale");
  Builder wide(66'312);
  wide.dense(0, 66'312, 1);
  refused(wide.plan, {1.0f}, "may exceed 32 bits");
  InferencePlan standardised(12);
  standardised.add({.kind = Kind::standardise, .name = "s", .inputs = {0}});
  refused(standardised, {0.0f}, "standardised in fp32 only");
}

}  // namespace
}  // namespace pixeldp::kernels
