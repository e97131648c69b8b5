#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/convolution_direct.hpp"
#include "kernels/cuda/device.cuh"
#include "tests/emulator/device_array.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/reference/values.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp::kernels::emulated {
namespace {

using reference::same, reference::with_padding;
using reference::x_size;

// The networks' own first layers, smaller; and tiles that are not filled, one pixel, even kernels,
// lopsided padding, padding wider than the kernel, channels that fill no vector.
const std::vector<Conv2dShape> shapes = {
    same(2, 28, 28, 1, 32, 5, 2),
    same(1, 18, 17, 3, 16, 3, 1),
    same(1, 20, 20, 3, 32, 10, 2),
    same(3, 1, 1, 1, 10, 3, 1),
    same(1, 7, 5, 3, 7, 4, 2),
    same(2, 5, 19, 2, 33, 3, 3),
    with_padding({1, 4, 4, 3, 4, 2, 3, 1, {}, {}}, {3, 0}, {0, 4}),
    with_padding({1, 9, 9, 1, 64, 3, 3, 2, {}, {}}, {0, 0}, {0, 0}),
    same(1, 6, 5, 32, 40, 5, 2),
    same(1, 4, 4, 160, 8, 3, 1),
    same(1, 3, 3, 64, 20, 3, 1),  // more than every device holds at once
    same(2, 2, 3, 785, 33, 1, 1)};

/// The chain of fused multiply-additions that the header promises. bias may be empty.
std::vector<float> chain(const Conv2dShape& s, Activation activation, const std::vector<float>& x,
                         const std::vector<float>& weight, const std::vector<float>& bias = {}) {
  return reference::fused_conv2d(s, DirectConvPlan::make(s, nullptr, sm_80).chunk_c, activation, x,
                                 weight, bias);
}

constexpr std::size_t margin = 64;
constexpr float sentinel = 12345.0f;

std::vector<float> framed(const std::vector<float>& values, std::size_t skip) {
  std::vector<float> frame(values.size() + 2 * margin + skip, sentinel);
  std::copy(values.begin(), values.end(), frame.begin() + margin + skip);
  return frame;
}

/// The emulated y between its margins, `skip` elements away from an aligned address.
std::vector<float> run(const Conv2dShape& s, Activation activation, const std::vector<float>& x,
                       const std::vector<float>& weight, std::size_t skip = 0,
                       const std::vector<float>& bias = {}) {
  const auto size = static_cast<std::size_t>(s.batch * s.out_h() * s.out_w() * s.out_c);
  const DeviceArray<float> device_x(x), device_weight(weight), device_bias(bias);
  const DeviceArray<float> y(std::vector<float>(size + 2 * margin + skip, sentinel));
  conv2d_direct(nullptr, s, activation, device_x.data(), device_weight.data(),
                bias.empty() ? nullptr : device_bias.data(), y.data() + margin + skip);
  return y.values();
}

std::vector<std::uint32_t> bits(const std::vector<float>& values) {
  std::vector<std::uint32_t> result;
  for (const float value : values) result.push_back(std::bit_cast<std::uint32_t>(value));
  return result;
}

TEST_CASE("the direct convolution is its chain of fused multiply-additions, bit for bit") {
  for (const Conv2dShape& s : shapes) {
    CAPTURE(s.in_h);
    CAPTURE(s.out_c);
    const auto x = reference::reals(x_size(s), 1);
    const auto weight = reference::reals(s.weight_size(), 2);
    const std::vector<float> expected = chain(s, Activation::identity(), x, weight);
    // Under every schedule a shape of all channels at once, and one of chunks.
    const bool thorough = s.in_c == 32 || s.in_w == 17;
    for (const Schedule& schedule : adversarial_schedules) {
      const WithSettings with(schedule);
      CAPTURE(schedule.name());
      CHECK(bits(run(s, Activation::identity(), x, weight)) == bits(framed(expected, 0)));
      if (!thorough) break;
    }
    CHECK(bits(run(s, Activation::identity(), x, weight, 1)) == bits(framed(expected, 1)));
    for (const Activation activation : {Activation::relu(), Activation::leaky_relu(0.1f)})
      CHECK(bits(run(s, activation, x, weight)) ==
            bits(framed(chain(s, activation, x, weight), 0)));
    const auto bias = reference::reals(s.out_c, 9);
    CHECK(bits(run(s, Activation::relu(), x, weight, 0, bias)) ==
          bits(framed(chain(s, Activation::relu(), x, weight, bias), 0)));
  }
}

TEST_CASE("the direct dense layer is the chain of a convolution of single pixels") {
  for (const std::int64_t rows : {1, 15, 16, 37}) {
    for (const DenseShape& dense : {DenseShape{rows, 300, 10}, DenseShape{rows, 7, 40}}) {
      const auto x = reference::reals(rows * dense.in, 10);
      const auto weight = reference::reals(dense.in * dense.out, 11);
      const auto bias = reference::reals(dense.out, 12);
      const DeviceArray<float> device_x(x), device_weight(weight), device_bias(bias);
      const DeviceArray<float> y(
          std::vector<float>(static_cast<std::size_t>(rows * dense.out) + 2 * margin, sentinel));
      dense_direct(nullptr, dense, Activation::relu(), device_x.data(), device_weight.data(),
                   device_bias.data(), y.data() + margin);
      CHECK(bits(y.values()) ==
            bits(framed(chain(as_convolution(dense), Activation::relu(), x, weight, bias), 0)));
    }
  }
}

TEST_CASE("the direct convolution equals its definition on integers") {
  for (const Conv2dShape& s : shapes) {
    const auto x = reference::integers(x_size(s), 4, 3);
    const auto weight = reference::integers(s.weight_size(), 4, 4);
    const std::vector<double> y = reference::conv2d_forward(s, x, weight);
    CHECK(run(s, Activation::identity(), x, weight) ==
          framed(std::vector<float>(y.begin(), y.end()), 0));
  }
}

TEST_CASE("an image's result does not depend on its neighbours") {
  const Conv2dShape s = same(3, 11, 11, 3, 16, 3, 1);
  Conv2dShape one = s;
  one.batch = 1;
  const auto x = reference::reals(x_size(s), 5);
  const auto weight = reference::reals(s.weight_size(), 6);
  const auto all = run(s, Activation::relu(), x, weight);
  const auto pixels = s.out_h() * s.out_w() * s.out_c;
  for (std::int64_t n = 0; n < s.batch; ++n) {
    const std::vector<float> image(x.begin() + n * x_size(one), x.begin() + (n + 1) * x_size(one));
    const auto alone = run(one, Activation::relu(), image, weight);
    CHECK(std::equal(alone.begin() + margin, alone.end() - margin,
                     all.begin() + margin + n * pixels));
  }
}

TEST_CASE("the direct convolution has no bank conflicts on images") {
  for (const Conv2dShape& s :
       {same(1, 18, 17, 3, 16, 3, 1), same(1, 28, 28, 1, 32, 5, 2), same(1, 20, 20, 3, 32, 3, 2),
        same(1, 9, 9, 41, 32, 3, 1), same(1, 9, 9, 41, 32, 3, 2)}) {
    Settings counting = settings();
    counting.count_bank_conflicts = true;
    const WithSettings with(counting);
    reset_bank_tally();
    run(s, Activation::identity(), reference::reals(x_size(s), 7),
        reference::reals(s.weight_size(), 8));
    CHECK(bank_tally().phases > 0);
    CHECK(bank_tally().conflicts == 0);
  }
}

TEST_CASE("the direct convolution's plan") {
  alignas(16) const float y[8] = {};
  const DirectConvPlan mnist = DirectConvPlan::make(same(100, 28, 28, 1, 32, 5, 2), y, sm_80);
  CHECK(mnist.block_c == 32);
  CHECK(mnist.row_tiles == 2);  // 14 rows, 8 at a time
  CHECK(mnist.column_tiles == 1);
  CHECK(mnist.tiles == 200);
  CHECK(mnist.channel_blocks == 1);
  CHECK(mnist.chunk_c == 1);
  CHECK(mnist.patch_h == 19);
  CHECK(mnist.patch_w == 35);
  CHECK(mnist.shared_bytes == 4 * (25 * 32 + 19 * 35));
  CHECK(mnist.vectorised);
  const DirectConvPlan cifar = DirectConvPlan::make(same(2, 32, 32, 3, 16, 3, 1), y + 1, sm_80);
  CHECK(cifar.block_c == 16);
  CHECK(cifar.tiles == 8);
  CHECK(cifar.patch_w == 18);
  CHECK(cifar.chunk_c == 3);
  CHECK_FALSE(cifar.vectorised);
  CHECK_FALSE(DirectConvPlan::make(same(2, 8, 8, 3, 10, 3, 1), y, sm_80).vectorised);
  CHECK(DirectConvPlan::make(same(2, 8, 8, 3, 65, 3, 1), y, sm_80).channel_blocks == 3);
  // 5x5x32 kernels: 32 of them and their patch take 5860 bytes for each channel.
  const DirectConvPlan second = DirectConvPlan::make(same(100, 14, 14, 32, 64, 5, 2), y, sm_80);
  CHECK(second.chunk_c == 11);
  CHECK(second.shared_bytes == 11 * 4 * (25 * 32 + 19 * 35));
  CHECK(DirectConvPlan::make(same(7, 14, 14, 32, 64, 5, 2), y, sm_80).chunk_c == 11);
  for (const std::int64_t in_c : {160, 640, 2048}) {
    const DirectConvPlan wide = DirectConvPlan::make(same(1, 8, 8, in_c, 640, 3, 1), y, sm_80);
    CHECK(wide.chunk_c % 2 == 1);
    CHECK(wide.shared_bytes <= DirectConvPlan::chunk_shared_limit);
    CHECK(wide.shared_bytes > DirectConvPlan::chunk_shared_limit / 2);
  }
}

TEST_CASE("the direct convolution refuses what it cannot do, by name") {
  const auto refused = [](const Conv2dShape& s) {
    conv2d_direct(nullptr, s, {}, nullptr, nullptr, nullptr, nullptr);
  };
  CHECK_FAILS(refused(same(1, 99, 99, 1, 160, 99, 1)),
              "convolution 1x99x99x1 with 160 kernels 99x99");
  CHECK_FAILS(refused(same(1, 99, 99, 1, 160, 99, 1)), "shared memory");
  CHECK_FAILS(refused(same(1, 40000, 40000, 1, 1, 3, 1)), "30 bits");
  CHECK_FAILS(refused(same(1 << 30, 32, 32, 1, 1, 3, 1)), "tiles");
  CHECK_FAILS(refused({1, 2, 2, 1, 1, 3, 3, 1, {}, {}}), "larger than the padded image");
  CHECK_FAILS(refused({1, 2, 2, 1, 1, 1, 1, 0, {}, {}}), "at least 1");
  CHECK_FAILS(refused(with_padding({1, 2, 2, 1, 1, 1, 1, 1, {}, {}}, {-1, 0}, {0, 0})),
              "at least 0");
  refused(same(0, 8, 8, 1, 4, 3, 1));  // no image: nothing to do
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
