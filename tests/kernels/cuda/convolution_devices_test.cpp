#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <memory>
#include <vector>

#include <doctest/doctest.h>

#include "engine/captured_graph.hpp"
#include "kernels/convolution.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/dense.hpp"
#include "kernels/device_plan.hpp"
#include "kernels/emulator/memory.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/reference/plan.hpp"
#include "tests/reference/values.hpp"

/// Convolutions and dense layers on every device that a test can have, in every precision: on
/// integers that bf16 has, all give the definition's result.
namespace pixeldp::kernels {
namespace {

using emulated::DeviceArray;
using reference::same, reference::with_padding;

constexpr Precision precisions[] = {Precision::fp32, Precision::tf32, Precision::bf16};

// Every remainder of channels that chunks of 8 and 4 leave, on both sides; stride 1, 2 and more;
// SAME padding that is symmetric, lopsided and none; kernels as large as the image; first layers of
// the networks, smaller.
const std::vector<Conv2dShape> shapes = {
    same(2, 7, 7, 1, 32, 5, 2),
    same(1, 8, 8, 3, 16, 3, 1),
    same(1, 9, 9, 3, 5, 10, 2),
    same(3, 1, 1, 1, 1, 1, 1),
    same(2, 5, 4, 33, 40, 3, 1),
    same(2, 6, 7, 5, 12, 3, 2),
    same(1, 7, 6, 12, 3, 4, 2),
    same(2, 5, 5, 8, 40, 3, 1),
    same(1, 7, 7, 32, 64, 5, 2),
    same(1, 9, 8, 40, 33, 1, 2),
    same(0, 8, 8, 4, 4, 3, 1),
    with_padding({1, 7, 9, 6, 9, 2, 3, 1, {}, {}}, {0, 2}, {3, 0}),
    with_padding({2, 8, 8, 7, 10, 3, 2, 3, {}, {}}, {0, 0}, {1, 0})};

const std::vector<DenseShape> dense_shapes = {{1, 1, 1},    {3, 5, 7},    {17, 129, 33},
                                              {9, 300, 10}, {130, 16, 8}, {5, 12, 136}};

std::vector<float> narrow(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

/// The result of f(stream, inputs, output) on the device, in memory of which every element was NaN.
std::vector<float> on(
    DeviceKind kind, const std::vector<std::vector<float>>& inputs, std::size_t size,
    const std::function<void(const Stream&, const std::vector<const float*>&, float*)>& f) {
  const Stream stream(Device{kind, 0});
  std::vector<float> y(size, NAN);
  std::vector<const float*> pointers;
  if (kind == DeviceKind::cpu) {
    for (const std::vector<float>& input : inputs) pointers.push_back(input.data());
    f(stream, pointers, y.data());
    return y;
  }
  std::vector<std::unique_ptr<DeviceArray<float>>> arrays;
  for (const std::vector<float>& input : inputs) {
    arrays.push_back(std::make_unique<DeviceArray<float>>(input));
    pointers.push_back(arrays.back()->data());
  }
  const DeviceArray<float> device_y(y);
  f(stream, pointers, device_y.data());
  stream.synchronize();
  return device_y.values();
}

template <class F>
void for_each_device(F f) {
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::emulated}) {
    for (const Precision precision : precisions) {
      if (kind == DeviceKind::cpu && !product_obstacle(precision).empty()) continue;
      CAPTURE(static_cast<int>(kind));
      CAPTURE(static_cast<int>(precision));
      f(kind, precision);
    }
  }
}

TEST_CASE("convolutions and their gradients are the same on all devices and in all precisions") {
  for (const Conv2dShape& s : shapes) {
    CAPTURE(s.in_h);
    CAPTURE(s.in_c);
    CAPTURE(s.out_c);
    const auto x = reference::integers(s.batch * s.in_h * s.in_w * s.in_c, 4, 1);
    const auto weight = reference::integers(s.weight_size(), 4, 2);
    const auto dy = reference::integers(s.batch * s.out_h() * s.out_w() * s.out_c, 4, 3);
    const auto y = narrow(reference::conv2d_forward(s, x, weight));
    const auto dx = narrow(reference::conv2d_backward_data(s, dy, weight));
    const auto dweight = narrow(reference::conv2d_backward_weight(s, x, dy));
    for_each_device([&](DeviceKind kind, Precision p) {
      CHECK(on(kind, {x, weight}, y.size(), [&](auto& stream, auto& in, float* out) {
              conv2d_forward(stream, s, p, in[0], in[1], out);
            }) == y);
      CHECK(on(kind, {dy, weight}, dx.size(), [&](auto& stream, auto& in, float* out) {
              conv2d_backward_data(stream, s, p, in[0], in[1], out);
            }) == dx);
      CHECK(on(kind, {x, dy}, dweight.size(), [&](auto& stream, auto& in, float* out) {
              conv2d_backward_weight(stream, s, p, in[0], in[1], out);
            }) == dweight);
    });
  }
}

TEST_CASE("convolutions in plans scale, shift, add a residual and activate, on all devices") {
  for (const Conv2dShape& s : shapes) {
    CAPTURE(s.in_c);
    CAPTURE(s.out_c);
    const auto x = reference::integers(s.batch * s.in_h * s.in_w * s.in_c, 4, 21);
    const auto weight = reference::integers(s.weight_size(), 4, 22);
    const auto scale = reference::integers(s.out_c, 4, 23);
    const auto shift = reference::integers(s.out_c, 100, 24);
    // The residual is another convolution, which merely picks pixels: bf16 has its results.
    std::vector<float> pick(weight.size());
    for (std::int64_t o = 0; o < s.out_c; ++o)
      pick[static_cast<std::size_t>((o * s.in_c + o % s.in_c) * s.kernel_h * s.kernel_w)] = 1.0f;
    const auto sums = narrow(reference::conv2d_forward(s, x, weight));
    const auto residual = narrow(reference::conv2d_forward(s, x, pick));
    // Residual, shift and scale, which takes a shift, together; in every combination where channels
    // fill chunks and where they do not.
    const bool thorough = s.in_c == s.out_c || s.in_c == 8 || s.in_c == 7;
    for (const int parts : thorough ? std::vector{0, 1, 2, 3, 6, 7} : std::vector{7}) {
      CAPTURE(parts);
      std::vector<float> expected = sums;
      for (std::size_t i = 0; i < expected.size(); ++i) {
        const std::size_t o = i % static_cast<std::size_t>(s.out_c);
        float& value = expected[i];
        if (parts & 4) value *= scale[o];
        if (parts & 2) value += shift[o];
        if (parts & 1) value += residual[i];
        value = value > 0 ? value : 0.5f * value;
      }
      const std::vector<float> none;
      InferenceStep step = reference::convolution_step(s, weight, {0.5f}, parts & 4 ? scale : none,
                                                       parts & 2 ? shift : none);
      std::vector<InferenceStep> steps;
      if (parts & 1) {
        steps.push_back(reference::convolution_step(s, pick, Activation::identity()));
        step.inputs = {0, 1};
      }
      steps.push_back(step);
      const InferencePlan plan = reference::plan_of(s.in_h * s.in_w * s.in_c, steps);
      for_each_device([&](DeviceKind kind, Precision p) {
        if (p == Precision::tf32) return;  // plans are in fp32 or bf16
        std::vector<float> in_precision = expected;
        if (kind == DeviceKind::cpu && p == Precision::bf16 && parts & 1)  // rounds these sums, too
          for (float& value : in_precision)
            value = std::bit_cast<float>(std::uint32_t{reference::to_bf16(value)} << 16);
        CHECK(on(kind, {x}, sums.size(), [&](auto& stream, auto& in, float* out) {
                reference::run_plan(stream, plan, p, s.batch, in[0], out);
              }) == in_precision);
      });
    }
  }
}

TEST_CASE("dense layers and their gradients are the same on all devices and in all precisions") {
  for (const DenseShape& s : dense_shapes) {
    CAPTURE(s.rows);
    CAPTURE(s.in);
    const Conv2dShape conv = {s.rows, 1, 1, s.in, s.out, 1, 1, 1, {}, {}};
    const auto x = reference::integers(s.rows * s.in, 8, 4);
    const auto weight = reference::integers(s.out * s.in, 8, 5);
    const auto bias = reference::integers(s.out, 100, 6);
    const auto dy = reference::integers(s.rows * s.out, 8, 7);
    auto y = narrow(reference::conv2d_forward(conv, x, weight));
    for (std::size_t i = 0; i < y.size(); ++i) y[i] += bias[i % bias.size()];
    auto activated = y;
    for (float& value : activated) value = value > 0 ? value : 0.0f;
    const InferencePlan plan =
        reference::plan_of(s.in, {reference::dense_step(weight, bias, Activation::relu())});
    const auto dx = narrow(reference::conv2d_backward_data(conv, dy, weight));
    auto gradients = narrow(reference::conv2d_backward_weight(conv, x, dy));
    gradients.resize(gradients.size() + bias.size());
    for (std::size_t i = 0; i < dy.size(); ++i) gradients[weight.size() + i % bias.size()] += dy[i];
    for_each_device([&](DeviceKind kind, Precision p) {
      CHECK(on(kind, {x, weight, bias}, y.size(), [&](auto& stream, auto& in, float* out) {
              dense_forward(stream, s, p, in[0], in[1], in[2], out);
            }) == y);
      CHECK(on(kind, {dy, weight}, dx.size(), [&](auto& stream, auto& in, float* out) {
              dense_backward_data(stream, s, p, in[0], in[1], out);
            }) == dx);
      CHECK(on(kind, {x, dy}, gradients.size(), [&](auto& stream, auto& in, float* out) {
              dense_backward_weight(stream, s, p, in[0], in[1], out, out + weight.size());
            }) == gradients);
      if (p == Precision::tf32) return;  // plans are in fp32 or bf16
      CHECK(on(kind, {x}, y.size(), [&](auto& stream, auto& in, float* out) {
              reference::run_plan(stream, plan, p, s.rows, in[0], out);
            }) == activated);
    });
  }
}

TEST_CASE("work that waits in its stream keeps its scratch memory") {
  emulator::Settings delayed = emulator::settings();
  delayed.delay_streams = true;
  const emulator::WithSettings with(delayed);
  const std::size_t live = emulator::device_memory().live_allocations();
  const Conv2dShape s = same(2, 6, 6, 5, 12, 3, 2);
  const auto x = reference::integers(2 * 36 * 5, 4, 8);
  const auto weight = reference::integers(s.weight_size(), 4, 9);
  const auto dy = reference::integers(2 * 9 * 12, 4, 10);
  const InferencePlan plan =
      reference::plan_of(36 * 5, {reference::convolution_step(s, weight, Activation::identity())});
  for (const Precision p : precisions) {
    CHECK(on(DeviceKind::emulated, {x, weight}, dy.size(), [&](auto& stream, auto& in, float* out) {
            conv2d_forward(stream, s, p, in[0], in[1], out);
          }) == narrow(reference::conv2d_forward(s, x, weight)));
    if (p != Precision::tf32)
      CHECK(on(DeviceKind::emulated, {x}, dy.size(), [&](auto& stream, auto& in, float* out) {
              reference::run_plan(stream, plan, p, s.batch, in[0], out);
            }) == narrow(reference::conv2d_forward(s, x, weight)));
    CHECK(on(DeviceKind::emulated, {dy, weight}, x.size(), [&](auto& stream, auto& in, float* out) {
            conv2d_backward_data(stream, s, p, in[0], in[1], out);
          }) == narrow(reference::conv2d_backward_data(s, dy, weight)));
    CHECK(on(DeviceKind::emulated, {x, dy}, weight.size(), [&](auto& stream, auto& in, float* out) {
            conv2d_backward_weight(stream, s, p, in[0], in[1], out);
          }) == narrow(reference::conv2d_backward_weight(s, x, dy)));
  }
  CHECK(emulator::device_memory().live_allocations() == live);
}

TEST_CASE("plans can be recorded, with their scratch memory") {
  const Stream stream(Device{DeviceKind::emulated, 0});
  const std::size_t live = emulator::device_memory().live_allocations();
  for (const Precision p : {Precision::fp32, Precision::bf16}) {
    const Conv2dShape s = same(2, 6, 6, 5, 12, 3, 2);
    const auto weight = reference::integers(s.weight_size(), 4, 11);
    const DeviceArray<float> x(2 * 36 * 5), y(2 * 9 * 12);
    const InferencePlan plan = reference::plan_of(
        36 * 5, {reference::convolution_step(s, weight, Activation::identity())});
    const auto conv = prepare_device_plan(stream, plan, DeviceSchedule::make(plan, s.batch, p));
    const CapturedGraph graph(stream, [&] { conv->run(x.data(), y.data()); });
    for (const std::uint64_t seed : {12, 13}) {
      const auto values = reference::integers(2 * 36 * 5, 4, seed);
      stream.synchronize();
      std::copy(values.begin(), values.end(), x.data());
      graph.launch();
      stream.synchronize();
      CHECK(y.values() == narrow(reference::conv2d_forward(s, values, weight)));
    }
  }
  stream.synchronize();
  CHECK(emulator::device_memory().live_allocations() == live);
}

}  // namespace
}  // namespace pixeldp::kernels
