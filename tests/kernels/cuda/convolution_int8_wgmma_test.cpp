#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/convolution_wgmma.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/dense.hpp"
#include "tests/kernels/cuda/int8_problem.hpp"
#include "tests/kernels/cuda/moved_arrays.hpp"
#include "tests/throws_error.hpp"

/// Convolutions in int8 by warpgroups, in the emulator, and when they are chosen.
namespace pixeldp::kernels::emulated {
namespace {

using reference::same, reference::with_padding;

// A tile and several of one image; images of which many fill a tile, or none; channels that fill no
// product, no step, or more; channels of y that fill no tile or no word; strides; lopsided and no
// padding, and as wide as the image; dense layers.
const std::vector<Conv2dShape> shapes_of_bytes = {
    same(1, 32, 32, 64, 160, 3, 1),
    same(2, 16, 16, 160, 320, 1, 1),
    same(5, 8, 8, 128, 156, 3, 1),
    same(3, 7, 7, 272, 98, 3, 1),
    same(1, 28, 28, 48, 122, 1, 1),
    same(3, 1, 1, 16, 12, 3, 1),
    same(2, 6, 5, 3, 5, 3, 1),
    with_padding({2, 14, 13, 17, 128, 2, 3, 1, {}, {}}, {2, 0}, {0, 4}),
    with_padding({3, 10, 12, 80, 120, 5, 3, 1, {}, {}}, {0, 0}, {0, 0}),
    same(5, 16, 16, 96, 160, 1, 2),
    same(1, 16, 15, 144, 40, 3, 2),
    as_convolution({300, 300, 136}),
    as_convolution({2, 16, 4})};

TEST_CASE("convolutions of bytes by warpgroups equal their definition, to the last one") {
  const WithSettings with(sm_90);
  for (const Conv2dShape& s : shapes_of_bytes) {
    CAPTURE(describe(s));
    const Int8Problem problem(s);
    for (const int channels : WgmmaTile::channels) {
      CAPTURE(channels);
      CHECK(problem.is_exact(by_warpgroups(channels)));
    }
  }
}

TEST_CASE("the largest sums that 32 bits are promised to hold are exact by warpgroups") {
  const WithSettings with(sm_90);
  CHECK(problem_of_largest_sums().is_exact(by_warpgroups(128)));
}

TEST_CASE("bytes by warpgroups do under every schedule") {
  for (const Conv2dShape& s : {same(3, 8, 8, 144, 40, 3, 1), same(1, 16, 16, 48, 132, 3, 2)}) {
    const Int8Problem problem(s);
    const Int8Ending ending = whole_ending(s.out_c);
    for (const Schedule& schedule : adversarial_schedules) {
      Settings changed = settings();
      changed.arch = sm_90, changed.schedule = schedule;
      const WithSettings with(changed);
      CAPTURE(schedule.name());
      for (const int channels : WgmmaTile::channels)
        CHECK(problem.agrees(by_warpgroups(channels), ending, {true, true, true, true}));
    }
  }
}

TEST_CASE("what becomes of sums of bytes by warpgroups are the processor's operations") {
  const WithSettings with(sm_90);
  for (const Conv2dShape& s : {same(2, 8, 8, 16, 152, 1, 1), same(2, 8, 8, 16, 130, 1, 1)}) {
    const Int8Problem problem(s);
    const bool bytes = s.out_c % 4 == 0;
    for (const int parts : {0, 1, 2, 3, 7}) {
      Int8Ending ending{.scale = reference::reals(s.out_c, 4)};
      if (parts & 1) ending.shift = reference::reals(s.out_c, 5);
      if (parts & 2)
        for (const float v : reference::reals(y_size(s), 6)) ending.residual.push_back(3000.0f * v);
      ending.activation.slope = parts == 0 ? 1.0f : parts == 1 ? 0.0f : 0.1f;
      if (parts & 4) {
        ending.next_scale = reference::reals(s.out_c, 7);
        ending.next_shift = reference::reals(s.out_c, 8);
        ending.next_activation.slope = 0.2f;
      }
      const bool next = (parts & 4) != 0;
      for (const std::size_t skip : {0, 1}) {
        CAPTURE(parts);
        CAPTURE(skip);
        CHECK(problem.agrees(by_warpgroups(160), ending, {true, bytes, next, next && bytes}, skip));
        if (bytes) CHECK(problem.agrees(by_warpgroups(160), ending, {false, true, false, next}));
      }
    }
  }
}

TEST_CASE("no bank conflicts in the epilogue of bytes by warpgroups") {
  Settings counting = settings();
  counting.arch = sm_90, counting.count_bank_conflicts = true;
  const WithSettings with(counting);
  reset_bank_tally();
  for (const int channels : WgmmaTile::channels)
    CHECK(Int8Problem(same(1, 16, 16, 32, channels, 1, 1)).is_exact(by_warpgroups(channels)));
  // A value of 8 bytes per lane is served by half warps, one of 16 bytes by quarters.
  CHECK(bank_tally().phases == 256 * (160 + 128) / 2 / 16 + 256 * (160 + 128) / 4 / 8);
  CHECK(bank_tally().conflicts == 0);
}

TEST_CASE("which convolutions of bytes warpgroups make") {
  const auto chosen = [](const Conv2dShape& s, const Arch& arch = sm_90) {
    return Int8ConvKernel::choose(s, arch).wgmma_channels;
  };
  // WRN-28-10, all that follow the first group's noise.
  for (const Conv2dShape& s :
       {same(512, 32, 32, 160, 160, 3, 1), same(512, 32, 32, 160, 320, 3, 2),
        same(512, 32, 32, 160, 320, 1, 2), same(512, 16, 16, 320, 320, 3, 1),
        same(512, 16, 16, 320, 640, 3, 2), same(512, 8, 8, 640, 640, 3, 1)}) {
    CAPTURE(describe(s));
    CHECK(chosen(s) == 160);
    for (const Arch& arch : {sm_80, sm_86, sm_89}) CHECK(chosen(s, arch) == 0);
    Conv2dShape one = s;  // whose tiles are too few for all multiprocessors
    one.batch = 1;
    CHECK(chosen(one) == 0);
  }
  CHECK(chosen(same(512, 16, 16, 256, 256, 3, 1)) == 128);
  CHECK(chosen(same(512, 32, 32, 160, 16, 3, 1)) == 0);  // a tenth of a tile
  CHECK(chosen(same(512, 33, 33, 160, 160, 3, 3)) == 0);
  CHECK(chosen(same(512, 31, 32, 160, 160, 3, 2)) == 0);
  CHECK(chosen(same(1, 2, 1 << 20, 160, 160, 3, 1)) == 0);
  CHECK(chosen(as_convolution({8192, 1024, 1024})) > 0);
  CHECK(chosen(as_convolution({64, 1024, 1024})) == 0);
  CHECK(chosen(same(0, 8, 8, 64, 160, 3, 1)) == 0);

  // 16 tiles one after the other, each of nine taps of five products of 1600 clocks; what these
  // read and the copies of two steps write of shared memory takes more, and then the operands.
  const WgmmaInt8Time time = WgmmaInt8Time::of(same(512, 32, 32, 160, 160, 3, 1), sm_90);
  CHECK(time.channels == 160);
  const double shared = 5 * 32 * (256 + 4 * 160) + 2 * 416 * 128;
  CHECK(time.clocks == 16 * 9 * (shared / 128 + 160 * 416 / 64));
  // Of tensor cores at half the rate, the products take longer.
  Arch slow = sm_90;
  slow.int8_products /= 2;
  CHECK(WgmmaInt8Time::of(same(1, 8, 8, 512, 128, 1, 1), slow).clocks ==
        16 * 512 + 512 * (256 + 128) / 64);
}

TEST_CASE("the plan of a convolution of bytes by warpgroups") {
  alignas(16) float reals[8] = {};
  alignas(16) std::int8_t bytes[8] = {};
  const auto plan = [&](const Conv2dShape& s, const Int8Epilogue& epilogue, int channels = 160) {
    return ConvWgmmaPlan::make(s, channels, sm_90, epilogue);
  };
  const Int8Epilogue scaled{.scale = reals, .y = {.real = reals}};
  const ConvWgmmaPlan wide = plan(same(5, 8, 8, 150, 480, 3, 1), scaled);
  CHECK(wide.blocks == 2 * 3);
  CHECK(wide.depth == 128);
  CHECK(wide.chunks == 2);
  CHECK(wide.last_products == 1);
  CHECK(wide.step_bytes == (256 + 160) * 128);
  CHECK(wide.vectorised);
  CHECK(plan(same(5, 8, 8, 176, 480, 3, 1), scaled).last_products == 2);  // a half of one is none
  CHECK_FALSE(
      plan(same(5, 8, 8, 160, 160, 3, 1), {.scale = reals, .residual = reals + 1}).vectorised);
  const Conv2dShape small = same(5, 8, 8, 160, 160, 3, 1);
  CHECK_FAILS(plan(small, scaled, 96), "no kernel of such a tile");
  CHECK_FAILS(plan(small, scaled, 0), "no kernel of such a tile");
  CHECK_FAILS(plan(same(1, 31, 31, 16, 160, 3, 2), scaled), "no kernel of such a tile");
  CHECK_FAILS(plan(small, {}), "no scale");
  CHECK_FAILS(plan(small, {.scale = reals, .y = {.bytes = bytes + 2}}), "aligned to 4");
  CHECK_FAILS(plan(same(1, 8, 8, 16, 130, 3, 1), {.scale = reals, .y = {.bytes = bytes}}),
              "multiples of 4");
  CHECK_FAILS(plan(same(1, 40000, 32, 64, 160, 3, 1), scaled), "32767");
}

}  // namespace

namespace moved {

TEST_CASE(
    "every pointer of a convolution of bytes by warpgroups may lie at any element, or is refused") {
  const WithSettings with(sm_90);
  const Conv2dShape shape = reference::same(1, 8, 8, 16, 120, 1, 1);
  const std::int64_t values = 8 * 8 * 120;
  const auto byte_words = [](std::int64_t bytes) {
    return words(static_cast<std::size_t>(bytes / 4), 0x05fa1182u);
  };
  check("conv2d_int8_wgmma",
        {byte_words(8 * 8 * 16), byte_words(packed_int8_size(shape)), floats(120, 3),
         floats(120, 4), floats(values, 5), floats(120, 6), floats(120, 7), floats(values, 8),
         byte_words(values), floats(values, 9), byte_words(values)},
        [&](const Stream& s, const Pointers& p) {
          const std::int8_t *const x = p[0], *const weight = p[1];
          conv2d_int8_wgmma(s.native(), shape, 128, x, weight, epilogue_in(p));
        },
        {0, 1});
}

}  // namespace moved
}  // namespace pixeldp::kernels::emulated
