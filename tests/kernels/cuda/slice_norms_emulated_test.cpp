#include <cmath>
#include <limits>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/device.cuh"
#include "kernels/slice_norms.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/kernels/cuda/framed.hpp"
#include "tests/reference/values.hpp"

/// Slices of weights divided by their norms, on the processor and through the emulator, against
/// what the order of the sums says.
namespace pixeldp::kernels::emulated {
namespace {

using tests::framed, tests::margin;

std::vector<float> expected(const SliceNormParams& p, std::vector<float> weight) {
  const auto count = [](std::int64_t n) { return static_cast<std::size_t>(n); };
  for (std::size_t s = 0; s < count(p.slices); ++s) {
    std::vector<std::size_t> places;
    for (std::size_t o = 0; o < count(p.outer); ++o)
      for (std::size_t i = 0; i < count(p.inner); ++i)
        places.push_back((o * count(p.slices) + s) * count(p.inner) + i);
    double sum = 0.0;
    for (const std::size_t at : places) {
      const double x = weight[at];
      sum += p.norm == SliceNorm::l2 ? x * x : std::fabs(x);
    }
    double norm = p.norm == SliceNorm::l2 ? std::sqrt(sum) : sum;
    if (norm < 1e-12) norm = 1e-12;
    for (const std::size_t at : places) weight[at] = static_cast<float>(weight[at] / norm);
  }
  return weight;
}

std::vector<float> on_processor(const SliceNormParams& p, std::vector<float> weight) {
  kernels::normalise_slices(pixeldp::Stream(), p, weight.data());
  return weight;
}

std::vector<float> on_device(const SliceNormParams& p, const std::vector<float>& weight) {
  const DeviceArray<float> device(framed(weight));
  kernels::normalise_slices(test_stream(), p, device.data() + margin);
  return device.values();
}

TEST_CASE("slices of a weight have norm 1, with the same bits on every device") {
  for (const SliceNorm norm : {SliceNorm::l1, SliceNorm::l2}) {
    for (const SliceNormParams& p : {SliceNormParams{1, 1, 1},
                                     {32, 1, 25},
                                     {1, 32, 25},
                                     {16, 3, 9},
                                     {1, 2, 256},
                                     {1, 2, 257},
                                     {160, 2, 9}}) {
      CAPTURE(p.outer);
      CAPTURE(p.slices);
      CAPTURE(p.inner);
      const SliceNormParams params{p.outer, p.slices, p.inner, norm};
      const auto weight = reference::reals(p.outer * p.slices * p.inner, 1);
      const std::vector<float> normalised = expected(params, weight);
      CHECK(normalised != weight);
      CHECK(on_processor(params, weight) == normalised);
      for (const Schedule& schedule : adversarial_schedules) {
        const WithSettings with(schedule);
        CHECK(on_device(params, weight) == framed(normalised));
      }
    }
  }
}

TEST_CASE("slices without a norm stay what they are, and no slice reaches another") {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  const SliceNormParams params{2, 3, 1, SliceNorm::l2};
  // 1e-12 is a norm's least: 2^-60 is below it, and becomes what 1e-12 makes of it.
  const std::vector<float> weight = {0.0f, 3.0f, nan, 0x1p-60f, -4.0f, 1.0f};
  const std::vector<float> frame = on_device(params, weight);
  for (const std::vector<float>& values :
       {on_processor(params, weight), std::vector(frame.begin() + margin, frame.end() - margin)}) {
    CHECK(values[0] == 0.0f);
    CHECK(values[3] == static_cast<float>(0x1p-60 / 1e-12));
    CHECK(values[1] == 0.6f);
    CHECK(values[4] == -0.8f);
    CHECK(std::isnan(values[2]));
    CHECK(std::isnan(values[5]));
  }
  for (const SliceNormParams& none : {SliceNormParams{0, 3, 1}, {1, 0, 1}, {1, 3, 0}}) {
    const DeviceArray<float> device(weight);
    kernels::normalise_slices(test_stream(), none, device.data());
    CHECK(std::isnan(device.values()[2]));
    CHECK(device.values()[4] == -4.0f);
    CHECK(on_processor(none, {}).empty());
  }
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
