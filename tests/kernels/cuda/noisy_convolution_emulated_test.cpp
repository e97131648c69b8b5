#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/batch_norm.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/fragments.hpp"
#include "kernels/cuda/noise.hpp"
#include "kernels/cuda/noisy_convolution.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/reference/values.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp::kernels::emulated {
namespace {

using Bits = std::uint16_t;
using reference::to_bf16;

template <class Output>
Output to_output(float value) {
  if constexpr (std::is_same_v<Output, float>)
    return value;
  else
    return to_bf16(value);
}

float activate(Activation activation, float y) {
  const float negative = activation.slope == 0.0f ? std::max(0.0f, y) : y * activation.slope;
  return y > 0.0f ? y : negative;
}

std::size_t as_size(std::int64_t value) { return static_cast<std::size_t>(value); }

constexpr std::size_t margin = 64;
constexpr float sentinel = 12345.0f;

template <class T>
std::vector<T> framed(const std::vector<T>& values) {
  std::vector<T> frame(values.size() + 2 * margin, to_output<T>(sentinel));
  std::copy(values.begin(), values.end(), frame.begin() + margin);
  return frame;
}

/// Three rows: draws of two images, the second of which lies first.
struct Problem {
  Conv2dShape shape;
  NoisyInput input;
  std::vector<NoiseRow> rows = {{1, 3, 7}, {0, 4, 7}, {1, 3, 0xffffffff}};
  std::vector<float> prefix, weight, in_scale, in_shift, scale, shift, residual;
  Activation ending;

  explicit Problem(const Conv2dShape& s)
      : shape(s),
        prefix(reference::reals(2 * row_size(), 1)),
        weight(reference::reals(s.weight_size(), 2)) {
    input.noise.distribution = NoiseDistribution::gaussian;
    input.noise.scale = 0.5f;
    input.noise.seed = 0x0123456789abcdef;
    input.noise.activation = Activation::relu();
  }

  std::int64_t row_size() const { return shape.in_h * shape.in_w * shape.in_c; }
  std::int64_t y_size() const { return shape.in_h * shape.in_w * shape.out_c; }
  std::int64_t row_count() const { return std::ssize(rows); }
  Conv2dShape batched() const {
    Conv2dShape s = shape;
    s.batch = row_count();
    return s;
  }

  /// With batch norm and everything that the epilogue has.
  void complete() {
    in_scale = reference::reals(shape.in_c, 3);
    in_shift = reference::reals(shape.in_c, 4);
    input.scaling.activation = Activation::leaky_relu(0.25f);
    scale = reference::reals(shape.out_c, 5);
    shift = reference::reals(shape.out_c, 6);
    residual = reference::reals(row_count() * y_size(), 7);
    for (float& value : residual) value = std::bit_cast<float>(std::uint32_t{to_bf16(value)} << 16);
    ending = Activation::relu();
  }

  template <class Output>
  struct Result {
    std::vector<Output> y;
    std::vector<Bits> x;
    bool operator==(const Result&) const = default;
  };

  template <class Output>
  Result<Output> run(bool with_x = true) const {
    const DeviceArray<NoiseRow> device_rows(rows);
    const DeviceArray<float> p(prefix), w(weight), a(in_scale), b(in_shift), c(scale), d(shift);
    std::vector<Bits> added;
    for (const float value : residual) added.push_back(to_bf16(value));
    const DeviceArray<Bits> e(added), packed(weight.size());
    const DeviceArray<Bits> x(framed(std::vector<Bits>(as_size(row_count() * row_size()))));
    const DeviceArray<Output> y(framed(std::vector<Output>(as_size(row_count() * y_size()))));
    pack_fragments(nullptr, static_cast<int>(shape.in_c), static_cast<int>(shape.kernel_h),
                   static_cast<int>(shape.out_c), w.data(), packed.data());
    NoisyInput given = input;
    if (!in_scale.empty()) given.scaling.scale = a.data(), given.scaling.shift = b.data();
    ConvEpilogue epilogue;
    if (!scale.empty()) epilogue.scale = c.data();
    if (!shift.empty()) epilogue.shift = d.data();
    if (!residual.empty()) epilogue.residual = e.data();
    epilogue.activation = ending;
    noisy_conv2d(nullptr, shape, given, device_rows.data(), row_count(), p.data(), packed.data(),
                 epilogue, y.data() + margin, with_x ? x.data() + margin : nullptr);
    return {y.values(), x.values()};
  }

  /// add_noise and the layers after it, one by one.
  template <class Output>
  Result<Output> layered() const {
    const DeviceArray<NoiseRow> device_rows(rows);
    const DeviceArray<float> p(prefix), a(in_scale), b(in_shift), w(weight),
        x(as_size(row_count() * row_size())), sums(as_size(row_count() * y_size()));
    kernels::add_noise(test_stream(), input.noise, device_rows.data(), row_count(), row_size(),
                       p.data(), x.data());
    if (!in_scale.empty())
      kernels::batch_norm_inference(test_stream(),
                                    {.rows = row_count() * shape.in_h * shape.in_w,
                                     .channels = shape.in_c,
                                     .activation = input.scaling.activation},
                                    x.data(), a.data(), b.data(), x.data());
    kernels::conv2d_forward(test_stream(), batched(), Precision::bf16, x.data(), w.data(),
                            sums.data());
    std::vector<float> y = sums.values();
    for (std::size_t i = 0; i < y.size(); ++i) {
      const std::size_t o = i % as_size(shape.out_c);
      y[i] = activate(
          ending, std::fma(y[i], scale.empty() ? 1.0f : scale[o], shift.empty() ? 0.0f : shift[o]) +
                      (residual.empty() ? 0.0f : residual[i]));
    }
    Result<Output> result;
    for (const float value : y) result.y.push_back(to_output<Output>(value));
    for (const float value : x.values()) result.x.push_back(to_bf16(value));
    return {framed(result.y), framed(result.x)};
  }

  template <class Output>
  bool is_right() const {
    return run<Output>() == layered<Output>();
  }
};

// A part of a square; exactly one; more than one in both directions, and none full; pieces of 32
// channels, and half ones.
const std::vector<Conv2dShape> shapes = {
    reference::same(1, 5, 7, 16, 32, 3, 1),   reference::same(1, 16, 16, 16, 48, 3, 1),
    reference::same(1, 17, 18, 16, 16, 3, 1), reference::same(1, 9, 17, 32, 80, 3, 1),
    reference::same(1, 6, 6, 16, 32, 5, 1),   reference::same(1, 17, 5, 32, 16, 5, 1)};

TEST_CASE("noise inside the convolution has the bits of add_noise and the layers after it") {
  for (const Conv2dShape& s : shapes) {
    CAPTURE(s.in_h);
    CAPTURE(s.in_c);
    CAPTURE(s.kernel_h);
    Problem problem(s);
    CHECK(problem.is_right<float>());
    problem.complete();
    CHECK(problem.is_right<float>());
    CHECK(problem.is_right<Bits>());
  }
}

TEST_CASE("noise inside the convolution: every distribution and activation") {
  for (const NoiseDistribution distribution :
       {NoiseDistribution::none, NoiseDistribution::gaussian, NoiseDistribution::laplace}) {
    for (const float slope : {1.0f, 0.0f, 0.1f}) {
      Problem problem(shapes[0]);
      problem.input.noise.distribution = distribution;
      problem.input.noise.activation.slope = slope;
      problem.ending.slope = slope;
      CHECK(problem.is_right<float>());
    }
  }
}

TEST_CASE("noise inside the convolution: under every schedule") {
  Problem problem(shapes[2]);
  problem.complete();
  const auto expected = problem.layered<Bits>();
  for (const Schedule& schedule : adversarial_schedules) {
    const WithSettings with(schedule);
    CAPTURE(schedule.name());
    CHECK(problem.run<Bits>() == expected);
  }
}

TEST_CASE("noise inside the convolution: a row depends on no other, and x is not always written") {
  const Problem all(shapes[0]);
  const auto expected = all.run<float>();
  for (std::size_t r = 0; r < all.rows.size(); ++r) {
    Problem one = all;
    one.rows = {all.rows[r]};
    const auto alone = one.run<float>(false);
    CHECK(std::equal(
        alone.y.begin() + margin, alone.y.end() - margin,
        expected.y.begin() + static_cast<std::ptrdiff_t>(margin + r * as_size(all.y_size()))));
    CHECK(alone.x == framed(std::vector<Bits>(as_size(all.row_size()))));
  }
}

TEST_CASE("noise inside the convolution, prepared: it keeps weights and channels of its own") {
  Problem problem(shapes[0]);
  problem.complete();
  problem.residual.clear();
  const auto expected = problem.run<Bits>();
  const auto without_frame = [](const std::vector<Bits>& frame) {
    return std::vector<Bits>(frame.begin() + margin, frame.end() - margin);
  };
  const DeviceArray<NoiseRow> rows(problem.rows);
  const DeviceArray<float> prefix(problem.prefix);
  const DeviceArray<Bits> x(as_size(problem.row_count() * problem.row_size())),
      y(as_size(problem.row_count() * problem.y_size()));
  std::unique_ptr<NoisyConv2d> prepared;
  {
    const DeviceArray<float> w(problem.weight), a(problem.in_scale), b(problem.in_shift),
        c(problem.scale), d(problem.shift);
    prepared = prepare_noisy_conv2d(nullptr, problem.batched(), w.data(),
                                    {a.data(), b.data(), problem.input.scaling.activation},
                                    {c.data(), d.data(), problem.ending});
  }
  prepared->run(problem.input.noise, rows.data(), prefix.data(), y.data(), x.data());
  CHECK(y.values() == without_frame(expected.y));
  CHECK(x.values() == without_frame(expected.x));
  NoiseParams other = problem.input.noise;
  ++other.seed;
  prepared->run(other, rows.data(), prefix.data(), y.data());
  CHECK(y.values() != without_frame(expected.y));
  CHECK(x.values() == without_frame(expected.x));

  CHECK_FAILS(
      prepare_noisy_conv2d(nullptr, reference::same(1, 8, 8, 16, 16, 3, 2), nullptr, {}, {}),
      "stride 1");
}

TEST_CASE("noise inside the convolution: no bank conflicts, each element of a square made once") {
  for (const Conv2dShape& s :
       {reference::same(1, 16, 16, 16, 32, 3, 1), reference::same(1, 16, 16, 32, 64, 5, 1)}) {
    Settings counting = settings();
    counting.count_bank_conflicts = true;
    const WithSettings with(counting);
    reset_bank_tally();
    Problem(s).run<Bits>();
    CHECK(bank_tally().conflicts == 0);
    // Of 3 rows: the square and its margin, 128 bytes a phase; and each of its pixels once for
    // every tap, for each 32 channels.
    const std::int64_t halo = 16 + s.kernel_h - 1;
    const std::int64_t noise = (halo * halo * s.in_c * 2 + 127) / 128;
    const std::int64_t taps = 256 * s.kernel_h * s.kernel_w * (s.in_c * 2 / 16) / 8;
    CHECK(bank_tally().phases == as_size(3 * (noise + taps * (s.out_c / 32))));
  }
}

TEST_CASE("noise inside the convolution: what it takes, and what it refuses") {
  CHECK(NoisyConvPlan::supports(reference::same(1, 32, 32, 16, 160, 3, 1)));
  CHECK(NoisyConvPlan::supports(reference::same(1, 75, 75, 32, 32, 5, 1)));
  CHECK_FALSE(NoisyConvPlan::supports(reference::same(1, 32, 32, 16, 160, 3, 2)));
  CHECK_FALSE(NoisyConvPlan::supports(reference::same(1, 32, 32, 24, 160, 3, 1)));
  CHECK_FALSE(NoisyConvPlan::supports(reference::same(1, 32, 32, 16, 8, 3, 1)));
  CHECK_FALSE(NoisyConvPlan::supports(reference::same(1, 32, 32, 16, 16, 1, 1)));
  CHECK_FALSE(NoisyConvPlan::supports(
      reference::with_padding(reference::same(1, 32, 32, 16, 16, 3, 1), {0, 0}, {0, 0})));
  CHECK_FALSE(NoisyConvPlan::supports(reference::same(1, 32768, 32768, 16, 16, 3, 1)));

  alignas(16) const float memory[8] = {};
  const auto plan = [&](const Conv2dShape& s, std::int64_t rows, const float* prefix,
                        float noise_scale = 1.0f) {
    NoisyInput input;
    input.noise.scale = noise_scale;
    return NoisyConvPlan::make(s, input, rows, prefix, nullptr, {}, nullptr, nullptr);
  };
  CHECK(plan(reference::same(1, 32, 33, 16, 16, 3, 1), 10, memory).blocks == 60);
  CHECK_FAILS(plan(reference::same(1, 8, 8, 16, 16, 3, 2), 1, memory), "stride 1");
  CHECK_FAILS(plan(shapes[0], 1, memory + 1), "16 bytes");
  CHECK_FAILS(plan(shapes[0], 1, memory, -1.0f), "noise scale");
  CHECK_FAILS(NoisyConvPlan::make(shapes[0], {}, 1, memory, nullptr, {.residual_fp32 = memory},
                                  nullptr, nullptr),
              "residual_fp32");
  CHECK_FAILS(plan(shapes[0], std::int64_t{1} << 31, memory), "one launch");
  Problem none(shapes[0]);
  none.rows.clear();
  CHECK(none.run<float>().y == framed(std::vector<float>()));
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
