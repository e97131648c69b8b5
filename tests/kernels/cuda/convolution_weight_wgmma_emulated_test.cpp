#include <algorithm>
#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/convolution_weight_wgmma.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/operations.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/kernels/cuda/framed.hpp"
#include "tests/kernels/cuda/moved_arrays.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/reference/values.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp::kernels::emulated {
namespace {

using Bits = std::uint16_t;
using reference::same, reference::with_padding;
using reference::x_size, reference::y_size;
using tests::framed, tests::margin, tests::sentinel;

/// [pixels, channels] as the kernel reads it.
std::vector<Bits> filled_bits(std::int64_t channels, const std::vector<float>& values) {
  std::vector<Bits> bits;
  for (const float value : reference::filled(channels, 8, values))
    bits.push_back(reference::to_bf16(value));
  return bits;
}

/// dweight in a frame. Partial sums that nobody makes are no numbers.
std::vector<float> run(const Conv2dShape& s, const WgmmaWeightTile& tile,
                       const std::vector<float>& x, const std::vector<float>& dy) {
  const WeightSums sums = ConvWgmmaWeightPlan::make(s, tile).sums();
  const DeviceArray<Bits> device_x(filled_bits(s.in_c, x)), device_dy(filled_bits(s.out_c, dy));
  const DeviceArray<float> partial(
      framed(std::vector<float>(static_cast<std::size_t>(sums.size()), NAN)));
  const DeviceArray<float> dweight(
      framed(std::vector<float>(static_cast<std::size_t>(s.weight_size()))));
  conv2d_wgmma_weight_sums(nullptr, s, tile, device_x.data(), device_dy.data(),
                           partial.data() + margin);
  add_weight_splits(nullptr, sums, partial.data() + margin, dweight.data() + margin);
  const std::vector<float> all = partial.values();
  CHECK(std::count(all.begin(), all.end(), sentinel) >= std::ptrdiff_t{2 * margin});
  return dweight.values();
}

bool is_exact(const Conv2dShape& s, const WgmmaWeightTile& tile) {
  const auto x = reference::integers(x_size(s), 4, 1), dy = reference::integers(y_size(s), 4, 2);
  const std::vector<double> dweight = reference::conv2d_backward_weight(s, x, dy);
  return run(s, tile, x, dy) == framed(std::vector<float>(dweight.begin(), dweight.end()));
}

TEST_CASE("the gradient in the weight by warpgroups equals its definition on integers") {
  const WithSettings with(sm_90);
  // Images of 32 columns, and of 8; four to a box, one of which is none; boxes that pixels fill to
  // 49, 56 and 45; lopsided padding; strides of 2, of odd width and with even kernels; pixels that
  // are rows of a dense layer, six of which are in a box of their own; channels that fill no box,
  // no chunk and no tile, and that take two; taps whose boxes fill no block.
  const Conv2dShape shapes[] = {same(1, 32, 32, 64, 160, 3, 1),
                                same(3, 8, 8, 40, 156, 3, 1),
                                same(3, 4, 4, 72, 128, 3, 1),
                                same(2, 7, 7, 96, 98, 3, 1),
                                same(1, 28, 28, 8, 16, 1, 1),
                                with_padding({2, 14, 13, 64, 128, 2, 3, 1, {}, {}}, {2, 0}, {0, 4}),
                                same(1, 32, 32, 24, 170, 3, 2),
                                same(1, 16, 15, 64, 160, 3, 2),
                                with_padding({1, 18, 41, 16, 20, 2, 5, 2, {}, {}}, {1, 2}, {3, 1}),
                                same(70, 1, 1, 100, 40, 1, 1),
                                same(1, 5, 9, 3, 7, 3, 1)};
  std::size_t turn = 0;
  for (const Conv2dShape& s : shapes) {
    CAPTURE(s.in_h);
    CAPTURE(s.in_c);
    CAPTURE(s.out_c);
    // Large boxes with more channels of y, small ones with fewer, and the other way round.
    CHECK(is_exact(s, wgmma_weight_tiles[turn]));
    CHECK(is_exact(s, wgmma_weight_tiles[3 - turn]));
    turn = 1 - turn;
  }
}

TEST_CASE("it is by warpgroups under every schedule, with the same bits for any data") {
  const WithSettings with(sm_90);
  const Conv2dShape s = same(33, 7, 7, 64, 12, 1, 1);  // three splits of 9 steps, one of 6
  const std::vector<float> x = reference::reals(x_size(s), 3), dy = reference::reals(y_size(s), 4);
  for (const WgmmaWeightTile& tile : {wgmma_weight_tiles[0], wgmma_weight_tiles[3]}) {
    CHECK(ConvWgmmaWeightPlan::make(s, tile).splits == 4);
    const std::vector<float> first = run(s, tile, x, dy);
    for (const Schedule& schedule : adversarial_schedules) {
      const WithSettings with_schedule(schedule);
      CAPTURE(schedule.name());
      CHECK(is_exact(s, tile));
      CHECK(run(s, tile, x, dy) == first);
    }
  }
}

TEST_CASE("what is not a number reaches only what it is part of, by warpgroups") {
  const WithSettings with(sm_90);
  // (No padding of x: its zeros are multiplied like other values.)
  for (const Conv2dShape& s :
       {Conv2dShape{2, 9, 9, 16, 24, 3, 3, 1, {}, {}}, {3, 5, 5, 16, 24, 2, 2, 1, {}, {}}}) {
    std::vector<float> x = reference::integers(x_size(s), 4, 5),
                       dy = reference::integers(y_size(s), 4, 6);
    dy.back() = x.back() = NAN;
    const std::vector<double> dweight = reference::conv2d_backward_weight(s, x, dy);
    const std::vector<float> result = run(s, wgmma_weight_tiles[0], x, dy);
    for (std::size_t i = 0; i < dweight.size(); ++i) {
      const float value = result[margin + i];
      CHECK((std::isnan(dweight[i]) ? std::isnan(value) : value == static_cast<float>(dweight[i])));
    }
  }
}

TEST_CASE(
    "gradients in weights go by warpgroups where the device has them, with the same results") {
  const Conv2dShape s = same(2, 8, 8, 93, 123, 3, 1);
  CHECK(choose_wgmma_weight_tile(s, sm_90).exists());
  const auto x = reference::integers(x_size(s), 4, 1), dy = reference::integers(y_size(s), 4, 2);
  const DeviceArray<float> device_x(x), device_dy(dy);
  const auto gradient = [&](Precision precision) {
    const DeviceArray<float> dweight(static_cast<std::size_t>(s.weight_size()));
    emulated::conv2d_backward_weight(test_stream(), s, precision, device_x.data(), device_dy.data(),
                                     dweight.data());
    return dweight.values();
  };
  const std::vector<double> exact = reference::conv2d_backward_weight(s, x, dy);
  for (const Arch& arch : {sm_80, sm_90}) {
    const WithSettings with(arch);
    CHECK(gradient(Precision::bf16) == std::vector<float>(exact.begin(), exact.end()));
  }
  Arch small = sm_90;  // which has no room for these tiles
  small.shared_per_block = least_shared_per_block;
  const WithSettings with(small);
  CHECK_FAILS(gradient(Precision::bf16), "conv2d_wgmma_weight_kernel");
  CHECK_NOTHROW(gradient(Precision::tf32));
}

}  // namespace

namespace moved {

TEST_CASE("every pointer of a gradient by warpgroups may lie at any element, or is refused") {
  const WithSettings with(sm_90);
  const Conv2dShape s = reference::same(1, 4, 4, 8, 24, 1, 1);
  check("conv2d_wgmma_weight_sums", {halves(4 * 4 * 8), halves(4 * 4 * 24, 2), floats(8 * 24, 3)},
        [&](const Stream& stream, const Pointers& p) {
          conv2d_wgmma_weight_sums(stream.native(), s, wgmma_weight_tiles[1], p[0], p[1], p[2]);
        },
        {0, 1});
}

}  // namespace moved
}  // namespace pixeldp::kernels::emulated
