#include <algorithm>
#include <bit>
#include <cmath>
#include <type_traits>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/convolution_weight.hpp"
#include "kernels/cuda/device.cuh"
#include "tests/emulator/device_array.hpp"
#include "tests/kernels/cuda/framed.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/reference/values.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp::kernels::emulated {
namespace {

using Bits = std::uint16_t;

using reference::same, reference::with_padding;
using reference::x_size, reference::y_size;
using tests::framed, tests::margin, tests::sentinel;

/// Of values that bf16 has; others are cut off.
std::vector<Bits> to_bf16(const std::vector<float>& values) {
  std::vector<Bits> result;
  for (const float value : values)
    result.push_back(static_cast<Bits>(std::bit_cast<std::uint32_t>(value) >> 16));
  return result;
}

/// [pixels, channels] as the kernels read it.
template <class Element>
std::vector<Element> filled(std::int64_t channels, const std::vector<float>& values) {
  const std::vector<float> result = reference::filled(channels, chunk_of<Element>, values);
  if constexpr (std::is_same_v<Element, float>)
    return result;
  else
    return to_bf16(result);
}

template <class Element>
std::vector<float> run(const Conv2dShape& s, const std::vector<float>& x,
                       const std::vector<float>& dy) {
  const DeviceArray<Element> device_x(filled<Element>(s.in_c, x)),
      device_dy(filled<Element>(s.out_c, dy));
  const DeviceArray<float> workspace(
      static_cast<std::size_t>(ConvWeightPlan::make(s, chunk_of<Element>).workspace_size()));
  const DeviceArray<float> dweight(
      framed(std::vector<float>(static_cast<std::size_t>(s.weight_size()))));
  conv2d_gemm_backward_weight(nullptr, s, device_x.data(), device_dy.data(), workspace.data(),
                              dweight.data() + margin);
  return dweight.values();
}

template <class Element>
bool is_exact(const Conv2dShape& s) {
  const auto x = reference::integers(x_size(s), 4, 1), dy = reference::integers(y_size(s), 4, 2);
  const std::vector<double> dweight = reference::conv2d_backward_weight(s, x, dy);
  return run<Element>(s, x, dy) == framed(std::vector<float>(dweight.begin(), dweight.end()));
}

// One pixel; images smaller than a row of threads; even kernels and lopsided padding; taps that
// only padding meets; columns that fill no tile; several splits, the last one short; channels that
// fill no chunk.
const std::vector<Conv2dShape> shapes = {
    same(1, 1, 1, 8, 8, 3, 1),
    same(5, 3, 1, 16, 24, 3, 1),
    same(2, 9, 9, 24, 16, 3, 2),
    same(3, 6, 7, 40, 32, 4, 2),
    same(2, 7, 7, 32, 72, 1, 2),
    same(1, 12, 11, 8, 8, 5, 3),
    same(1, 5, 5, 16, 248, 3, 1),
    same(5, 16, 15, 8, 16, 1, 1),
    with_padding({2, 5, 5, 8, 16, 2, 3, 1, {}, {}}, {3, 0}, {0, 4}),
    with_padding({1, 6, 6, 72, 48, 3, 3, 2, {}, {}}, {0, 0}, {0, 0}),
    same(2, 6, 5, 1, 3, 3, 1),
    same(1, 9, 8, 3, 12, 3, 2),
    same(2, 5, 5, 5, 5, 2, 1),
    same(1, 6, 6, 12, 1, 4, 2),
    same(1, 5, 5, 3, 150, 5, 1)};

TEST_CASE("the tensor-core gradient in the weight equals its definition on integers") {
  for (const Conv2dShape& s : shapes) {
    CAPTURE(s.in_h);
    CAPTURE(s.in_c);
    CAPTURE(s.out_c);
    CHECK(is_exact<Bits>(s));
    CHECK(is_exact<float>(s));
  }
  CHECK(ConvWeightPlan::make(shapes[6], 8).tile == 0);
  CHECK(ConvWeightPlan::make(shapes[6], 4).tile == 0);
  CHECK(ConvWeightPlan::make(shapes[5], 8).tile == 1);
  CHECK(ConvWeightPlan::make(shapes[5], 4).tile == 1);
  CHECK(ConvWeightPlan::make(shapes[7], 8).splits == 2);
  CHECK(ConvWeightPlan::make(shapes[7], 4).splits == 4);
}

TEST_CASE("it does under every schedule, with the same bits for any data") {
  const Conv2dShape shapes_of_tiles[] = {same(1, 9, 9, 16, 128, 3, 1), same(5, 16, 15, 8, 16, 3, 2),
                                         same(5, 16, 15, 8, 16, 1, 1)};
  const auto check = []<class Element>(Element, const Conv2dShape& s) {
    const std::vector<float> x = reference::reals(x_size(s), 3),
                             dy = reference::reals(y_size(s), 4);
    const std::vector<float> first = run<Element>(s, x, dy);
    for (const Schedule& schedule : adversarial_schedules) {
      const WithSettings with(schedule);
      CAPTURE(schedule.name());
      CHECK(is_exact<Element>(s));
      CHECK(run<Element>(s, x, dy) == first);
    }
  };
  for (const Conv2dShape& s : shapes_of_tiles) {
    check(Bits{}, s);
    check(float{}, s);
  }
}

TEST_CASE("the gradient in the weight has no bank conflicts") {
  const auto check = []<class Element>(Element, const Conv2dShape& s) {
    Settings counting = settings();
    counting.count_bank_conflicts = true;
    const WithSettings with(counting);
    reset_bank_tally();
    CHECK(is_exact<Element>(s));
    // 81 pixels are 3 or 6 steps, and the first half step is read ahead.
    const unsigned half_steps = 2 * (sizeof(Element) == 2 ? 3 : 6) + 1;
    const ConvWeightPlan plan = ConvWeightPlan::make(s, chunk_of<Element>);
    const ConvTile& tile = ConvWeightPlan::tiles[plan.tile];
    const unsigned matrices =
        static_cast<unsigned>((tile.m * tile.n_warps + tile.n * tile.m_warps) / 8 * 2);
    CHECK(bank_tally().phases == plan.tile_blocks * plan.splits * half_steps * matrices);
    CHECK(bank_tally().conflicts == 0);
  };
  for (const Conv2dShape& s : {same(1, 9, 9, 16, 128, 3, 1), same(1, 9, 9, 16, 16, 3, 1)}) {
    check(Bits{}, s);
    check(float{}, s);
  }
}

TEST_CASE("what is not a number reaches only what it is part of") {
  // (No padding: its zeros are multiplied like other values.)
  const Conv2dShape s{1, 5, 5, 16, 24, 3, 3, 1, {}, {}};
  std::vector<float> x = reference::integers(x_size(s), 4, 5),
                     dy = reference::integers(y_size(s), 4, 6);
  dy[0] = x[0] = NAN;
  const std::vector<double> dweight = reference::conv2d_backward_weight(s, x, dy);
  for (const std::vector<float>& result : {run<Bits>(s, x, dy), run<float>(s, x, dy)}) {
    for (std::size_t i = 0; i < dweight.size(); ++i) {
      const float value = result[margin + i];
      CHECK((std::isnan(dweight[i]) ? std::isnan(value) : value == static_cast<float>(dweight[i])));
    }
  }
}

TEST_CASE("no image, no gradient") {
  const Conv2dShape s = same(0, 8, 8, 8, 16, 3, 1);
  CHECK(run<Bits>(s, std::vector<float>(8), std::vector<float>(16)) ==
        framed(std::vector<float>(static_cast<std::size_t>(s.weight_size()))));
}

TEST_CASE("the plan of the gradient in the weight") {
  // 160 x 1440 results of 128 x 32 x 32 pixels
  const ConvWeightPlan wide = ConvWeightPlan::make(same(128, 32, 32, 160, 160, 3, 1), 8);
  CHECK(wide.tile == 1);
  CHECK(wide.tile_blocks == 3 * 23);
  CHECK(wide.splits == 3);
  CHECK(wide.split_pixels * 3 >= wide.pixels);
  CHECK(wide.split_pixels * 2 < wide.pixels);
  CHECK(wide.split_pixels % ConvWeightPlan::step_pixels(8) == 0);
  CHECK(wide.workspace_size() == 3 * 160 * 1440);
  const ConvWeightPlan deep = ConvWeightPlan::make(same(128, 8, 8, 640, 640, 3, 1), 8);
  CHECK(deep.tile == 0);
  CHECK(deep.splits == 1);
}

TEST_CASE("the time of a gradient in the weight is what it needs of the device") {
  const Arch arch{.multiprocessors = 100,
                  .tensor_products = 1024,
                  .clock = 1.0,
                  .l2_bytes_per_clock = 2048,
                  .dram_bandwidth = 8.0};
  // 5 x 45 blocks of 128 x 128, three on one multiprocessor, of 8192 pixels, 32 in a step.
  const ConvTime time = weight_gradient_time(same(128, 8, 8, 640, 640, 3, 1), 8, arch);
  CHECK(time.tensor == 3.0 * 256 * 128 * 128 * 32 / 1024);
  CHECK(time.l2 == 225.0 * 256 * 256 * 64 / 2048 + 8.0 * 640 * 5760 / 2048);
  CHECK(time.dram == (2.0 * 2 * 8192 * 640 + 4.0 * 640 * 5760) / 8);
}

TEST_CASE("the gradient in the weight refuses what it cannot do, by name") {
  const auto refused = [](const Conv2dShape& s) { ConvWeightPlan::make(s, 8); };
  CHECK_FAILS(refused(same(1, 40000, 8, 3, 16, 3, 1)),
              "convolution 1x40000x8x3 with 16 kernels 3x3");
  alignas(16) const Bits memory[16] = {};
  CHECK_FAILS(ConvWeightPlan::make(same(1, 8, 8, 8, 8, 3, 1), 8, memory, memory + 4),
              "aligned to 16 bytes");
  CHECK_FAILS(refused(same(1, 40000, 8, 8, 8, 3, 1)), "32767");
  CHECK_FAILS(refused(same(1, 20000, 20000, 8, 8, 3, 1)), "2^30 elements");
  CHECK_FAILS(refused(same(std::int64_t{1} << 39, 8, 8, 8, 8, 3, 1)), "2^40 pixels");
  CHECK_FAILS(refused({1, 2, 2, 8, 8, 3, 3, 1, {}, {}}), "larger than the padded image");
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
