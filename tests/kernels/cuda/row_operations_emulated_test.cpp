#include <algorithm>
#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include "engine/buffer.hpp"
#include "kernels/cuda/row_operations.hpp"
#include "kernels/device_plan.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/reference/row_plan.hpp"
#include "tests/throws_error.hpp"

/// Row operations on the emulated device against the processor's.
namespace pixeldp::kernels {
namespace {

using emulated::DeviceArray;

std::vector<float> calculate(const InferencePlan& plan, Precision precision,
                             const std::vector<float>& x, std::span<const float> scales,
                             bool on_device) {
  const auto rows = std::ssize(x) / plan.sizes.front();
  std::vector<float> y(static_cast<std::size_t>(rows * plan.sizes.back()));
  if (!on_device) {
    const auto prepared = prepare_inference(plan, precision, scales);
    const Memory workspace({}, static_cast<std::size_t>(prepared->workspace_size()));
    prepared->run(rows, x.data(), y.data(), workspace.data());
    return y;
  }
  const Stream stream(Device{DeviceKind::emulated});
  const auto prepared = prepare_device_plan(
      stream, plan, DeviceSchedule::make(plan, rows, precision, false, Fusion::allowed, scales));
  const DeviceArray<float> from(x), to(y.size());
  for (int run = 0; run < 2; ++run) prepared->run(from.data(), to.data());
  stream.synchronize();
  return to.values();
}

TEST_CASE("row operations have the processor's bits on a device, of any values") {
  for (const bool folded : {false, true}) {
    CAPTURE(folded);
    InferencePlan plan = reference::row_plan(false);
    if (folded) plan = fold(std::move(plan));
    for (auto x : {reference::reals(3 * plan.sizes.front(), 11),
                   reference::awkward_values(static_cast<std::size_t>(2 * plan.sizes.front()))}) {
      const auto expected = calculate(plan, Precision::fp32, x, {}, false);
      CHECK(std::ranges::count(expected, expected.front()) < std::ssize(expected) / 2);
      CHECK(reference::bits(calculate(plan, Precision::fp32, x, {}, true)) ==
            reference::bits(expected));
    }
  }
}

TEST_CASE("row operations between products, in every precision that devices have") {
  const InferencePlan plan = fold(reference::row_plan(true));
  const auto x = reference::reals(3 * plan.sizes.front(), 12);
  const std::vector<float> scales(plan.steps.size(), 0.01f), none;
  const auto exact = calculate(plan, Precision::fp32, x, none, false);
  double largest = 0.0;
  for (const float value : exact) largest = std::max(largest, std::abs(double{value}));
  CHECK(largest > 0.1);
  const auto check_near = [&](Precision precision, double tolerance) {
    const auto made = calculate(plan, precision, x, none, true);
    for (std::size_t i = 0; i < exact.size(); ++i)
      CHECK(std::abs(double{made[i]} - double{exact[i]}) <= tolerance * largest);
  };
  check_near(Precision::fp32, 1e-5);
  check_near(Precision::bf16, 0.02);
  CHECK(calculate(plan, Precision::int8, x, scales, true) ==
        calculate(plan, Precision::int8, x, scales, false));
}

TEST_CASE("a device plan takes no step that its schedule has not seen") {
  InferencePlan plan(12);
  plan.add({.kind = InferenceStep::Kind::standardise, .name = "s", .inputs = {0}});
  const auto schedule = DeviceSchedule::make(plan, 1, Precision::fp32);
  plan.steps[0].kind = InferenceStep::Kind::noise;
  CHECK_FAILS(prepare_device_plan(Stream(Device{DeviceKind::emulated}), plan, schedule),
              "noise is drawn between two plans");
}

TEST_CASE("one launch makes as many values of a row operation as a grid has threads") {
  CHECK(row_blocks(0) == 0);
  CHECK(row_blocks(257) == 2);
  CHECK(row_blocks(0x7fffffff * std::int64_t{256}) == 0x7fffffffu);
  CHECK_FAILS(row_blocks(0x7fffffff * std::int64_t{256} + 1), "more than one launch can do");
}

}  // namespace
}  // namespace pixeldp::kernels
