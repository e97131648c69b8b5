#include <algorithm>
#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include "engine/buffer.hpp"
#include "engine/tensor.hpp"
#include "kernels/device_plan.hpp"
#include "tests/layers/made_network.hpp"
#include "tests/reference/row_plan.hpp"

/// Whole plans as nvcc compiled their kernels, against the emulated ones.
namespace pixeldp {
namespace {

using kernels::DeviceSchedule, kernels::Fusion, kernels::Precision;

std::vector<float> features(const Stream& stream, const kernels::NetworkPlan& network,
                            Fusion fusion, Precision precision = Precision::bf16) {
  constexpr std::int64_t rows = 3;
  const std::vector<kernels::NoiseRow> draws = {{1, 4, 7}, {0, 9, 7}, {1, 4, 8}};
  Buffer<kernels::NoiseRow> device_draws(stream.device(), rows);
  device_draws.upload(stream, draws);
  const auto values = reference::reals(2 * network.noise_size(), 3);
  Tensor prefixes(Shape{2, network.noise_size()});
  std::ranges::copy(values, prefixes.data());
  const Tensor given = prefixes.to(stream, stream.device());
  Tensor result(Shape{rows, network.features()}, stream.device());
  std::vector<float> scales;
  if (precision == Precision::int8) scales.assign(network.body.steps.size(), 0.02f);
  const auto plan = prepare_device_plan(
      stream, network.body,
      DeviceSchedule::make(network.body, rows, precision, true, fusion, scales));
  plan->run({network.noise(3, StreamTag::estimation), device_draws.data()}, given.data(),
            result.data());
  const Tensor on_host = result.to(stream, Device());
  return {on_host.values().begin(), on_host.values().end()};
}

TEST_CASE("a compiled plan of a residual network calculates what the emulated one does") {
  const Stream cuda(Device::parse("cuda")), emulated(Device::parse("emulated"));
  for (const char* architecture : {"wide-resnet", "resnet"}) {
    CAPTURE(architecture);
    layers::Network net = layers::make_network(tests::small_resnet_spec(architecture), 5);
    tests::unsettle_normalisations(net);
    net.noise->distribution = kernels::NoiseDistribution::gaussian;
    net.noise->scale = 0.3;
    const kernels::NetworkPlan network = lower(Stream(), net);
    for (const Fusion fusion : {Fusion::allowed, Fusion::none}) {
      const auto compiled = features(cuda, network, fusion),
                 expected = features(emulated, network, fusion);
      double largest = 0.0, difference = 0.0;
      for (std::size_t i = 0; i < expected.size(); ++i) {
        largest = std::max(largest, std::abs(double{expected[i]}));
        difference = std::max(difference, std::abs(double{expected[i]} - double{compiled[i]}));
      }
      CHECK(largest > 0.1);
      // The order of sums within an mma is the hardware's: a value may be rounded to the next bf16.
      CHECK(difference < 1e-2 * largest);
    }
    // In int8 nothing is left to the hardware.
    const auto compiled = features(cuda, network, Fusion::allowed, Precision::int8),
               expected = features(emulated, network, Fusion::allowed, Precision::int8);
    CHECK(compiled == expected);
    CHECK(std::ranges::any_of(expected, [](float v) { return v != 0.0f; }));
  }
}

TEST_CASE("compiled row operations calculate what the emulated ones do") {
  const Stream cuda(Device::parse("cuda")), emulated(Device::parse("emulated"));
  const auto made = [](const Stream& stream, bool with_products, Precision precision) {
    constexpr std::int64_t rows = 2;
    const kernels::InferencePlan plan = fold(reference::row_plan(with_products));
    const std::vector<float> scales(
        precision == Precision::int8 ? plan.steps.size() : std::size_t{0}, 0.01f);
    Tensor x(Shape{rows, plan.sizes.front()});
    std::ranges::copy(reference::reals(x.size(), 3), x.data());
    const Tensor from = x.to(stream, stream.device());
    Tensor y(Shape{rows, plan.sizes.back()}, stream.device());
    prepare_device_plan(stream, plan,
                        DeviceSchedule::make(plan, rows, precision, false, Fusion::allowed, scales))
        ->run(from.data(), y.data());
    const Tensor on_host = y.to(stream, Device());
    return std::vector<float>(on_host.values().begin(), on_host.values().end());
  };
  const auto expected = made(emulated, false, Precision::fp32);
  CHECK(std::ranges::count(expected, expected.front()) < std::ssize(expected) / 2);
  CHECK(made(cuda, false, Precision::fp32) == expected);
  CHECK(made(cuda, true, Precision::int8) == made(emulated, true, Precision::int8));
  const auto rounded = made(emulated, true, Precision::bf16),
             compiled = made(cuda, true, Precision::bf16);
  for (std::size_t i = 0; i < rounded.size(); ++i)
    CHECK(compiled[i] == doctest::Approx(rounded[i]).epsilon(0.02));
}

}  // namespace
}  // namespace pixeldp
