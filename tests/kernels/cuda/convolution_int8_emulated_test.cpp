#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/convolution_int8.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/dense.hpp"
#include "tests/kernels/cuda/int8_problem.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/reference/values.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp::kernels::emulated {
namespace {

using reference::same, reference::with_padding;

// One pixel; many images in a tile and none that fills it; even kernels and lopsided padding; taps
// of one chunk, of less than a step, of more; pixels that no tap reads; wide padding; channels that
// fill no chunk, or more than a tile; no padding at all; dense layers.
const std::vector<Conv2dShape> shapes = {
    same(1, 1, 1, 16, 12, 3, 1),
    same(5, 3, 4, 32, 24, 3, 1),
    same(1, 9, 9, 48, 16, 3, 2),
    same(3, 6, 7, 80, 32, 4, 2),
    same(2, 7, 7, 32, 64, 1, 2),
    same(1, 12, 11, 16, 8, 5, 3),
    same(1, 4, 4, 16, 136, 3, 1),
    with_padding({2, 5, 5, 16, 16, 2, 3, 1, {}, {}}, {3, 0}, {0, 4}),
    with_padding({1, 6, 6, 144, 48, 3, 3, 2, {}, {}}, {0, 0}, {0, 0}),
    same(2, 6, 5, 1, 3, 3, 1),
    same(1, 9, 8, 3, 12, 3, 2),
    same(2, 5, 5, 17, 5, 2, 1),
    same(1, 6, 6, 24, 1, 4, 2),
    as_convolution({130, 64, 8}),
    as_convolution({3, 300, 136})};

TEST_CASE("the int8 convolution equals its definition, to the last one") {
  for (const Conv2dShape& s : shapes) {
    CAPTURE(describe(s));
    const Int8Problem problem(s);
    for (const ConvTile& tile : int8_conv_tiles) {
      CAPTURE(tile.m);
      CAPTURE(tile.n);
      CHECK(problem.is_exact(by_mma(tile)));
    }
  }
}

TEST_CASE("the largest sums that 32 bits are promised to hold are exact") {
  CHECK(problem_of_largest_sums().is_exact(by_mma(int8_conv_tiles[2])));
}

TEST_CASE("it does under every schedule") {
  for (const Conv2dShape& s :
       {same(2, 9, 9, 48, 16, 3, 2), same(1, 9, 9, 32, 40, 3, 1), same(1, 3, 3, 16, 8, 1, 1)}) {
    const Int8Problem problem(s);
    const Int8Ending ending = whole_ending(s.out_c);
    for (const Schedule& schedule : adversarial_schedules) {
      const WithSettings with(schedule);
      CAPTURE(schedule.name());
      for (const ConvTile& tile : int8_conv_tiles)
        CHECK(problem.agrees(by_mma(tile), ending, {true, true, true, true}));
    }
  }
}

TEST_CASE("scale, shift, residual, activation and what follows are the processor's operations") {
  for (const Conv2dShape& s : {same(2, 5, 5, 16, 24, 3, 1), same(2, 5, 5, 16, 10, 3, 1)}) {
    const Int8Problem problem(s);
    const bool bytes = s.out_c % 4 == 0;
    for (const int parts : {0, 1, 2, 3}) {
      Int8Ending ending{.scale = reference::reals(s.out_c, 4)};
      if (parts & 1) ending.shift = reference::reals(s.out_c, 5);
      if (parts & 2)
        for (const float v : reference::reals(y_size(s), 6)) ending.residual.push_back(3000.0f * v);
      for (const float slope : {1.0f, 0.0f, 0.1f}) {
        ending.activation.slope = slope;
        for (const std::size_t skip : {0, 1}) {
          CAPTURE(parts);
          CAPTURE(slope);
          CAPTURE(skip);
          for (const ConvTile& tile : {int8_conv_tiles[1], int8_conv_tiles[2]}) {
            CHECK(problem.agrees(by_mma(tile), ending, {true, bytes, false, false}, skip));
            if (bytes)
              CHECK(problem.agrees(by_mma(tile), ending, {false, true, false, false}, skip));
          }
        }
      }
      ending.activation.slope = 0.1f;
      ending.next_activation.slope = 0.2f;
      ending.next_scale = reference::reals(s.out_c, 7);
      ending.next_shift = reference::reals(s.out_c, 8);
      for (const Int8Asked& asked :
           {Int8Asked{true, bytes, true, bytes}, Int8Asked{false, false, true, false},
            Int8Asked{true, false, false, bytes}, Int8Asked{false, bytes, true, bytes}})
        for (const std::size_t skip : {0, 1})
          CHECK(problem.agrees(by_mma(int8_conv_tiles[0]), ending, asked, skip));
    }
  }
}

TEST_CASE("bytes are rounded to even on ties, and clamped, whatever comes out") {
  // Each output is its shift; a scale of 0 takes the products away.
  const std::vector<float> edges = reference::rounding_edges();
  const auto channels = static_cast<std::int64_t>(edges.size() + 3) / 4 * 4;
  const Int8Problem problem(as_convolution({2, 16, channels}));
  for (const float inverse : {1.0f, 0.25f, 3.0f}) {
    CAPTURE(inverse);
    Int8Ending ending{.scale = std::vector<float>(static_cast<std::size_t>(channels)),
                      .shift = edges,
                      .inverse_scale = inverse};
    ending.shift.resize(static_cast<std::size_t>(channels));
    for (float& v : ending.shift) v /= inverse;
    const Int8Values results = problem.run(by_mma(int8_conv_tiles[2]), ending, {.y = false});
    CHECK(results.y_bytes == problem.expected(ending).y_bytes);
    CHECK(std::ranges::max(results.y_bytes) == 127);
    CHECK(std::ranges::min(results.y_bytes) == -127);
  }
}

TEST_CASE("no bank conflicts in the int8 convolution") {
  const Int8Problem problem(same(1, 12, 12, 80, 136, 3, 1));
  for (const ConvTile& tile : int8_conv_tiles) {
    CAPTURE(tile.n);
    Settings counting = settings();
    counting.count_bank_conflicts = true;
    const WithSettings with(counting);
    reset_bank_tally();
    CHECK(problem.is_exact(by_mma(tile)));
    // 45 chunks are 12 steps of two mmas each. Eight rows of one chunk are a matrix, and every warp
    // reads its own; sums are written two at a time, four at a time read.
    const std::uint64_t blocks = static_cast<std::uint64_t>((144 + tile.m - 1) / tile.m) *
                                 static_cast<std::uint64_t>((136 + tile.n - 1) / tile.n);
    const auto matrices =
        static_cast<std::uint64_t>(tile.m * tile.n_warps + tile.n * tile.m_warps) / 8 * 2 * 2 * 12;
    CHECK(bank_tally().conflicts == 0);
    CHECK(bank_tally().phases >= blocks * matrices);
  }
}

TEST_CASE("the plan and the tile of the int8 convolution") {
  alignas(16) const std::int8_t memory[16] = {};
  alignas(16) float reals[8] = {};
  const Int8Epilogue scaled{.scale = reals};
  const auto plan_of = [&](const Conv2dShape& s, const Int8Epilogue& epilogue) {
    return Int8ConvPlan::make(s, int8_conv_tiles[0], memory, memory, epilogue);
  };
  const Int8ConvPlan wide = plan_of(same(100, 32, 32, 160, 320, 3, 2), scaled);
  CHECK(wide.pixels == 100 * 16 * 16);
  CHECK(wide.blocks == 200 * 5);
  CHECK(wide.taps_chunks == 9 * 10);
  CHECK(wide.step_chunk == 4);
  CHECK(wide.step_s == 0);
  CHECK(wide.step_r == 0);
  CHECK(wide.vectorised);
  const Int8ConvPlan narrow = plan_of(same(1, 8, 8, 3, 16, 3, 1), scaled);
  CHECK(narrow.in_chunks == 1);
  CHECK(narrow.step_chunk == 0);
  CHECK(narrow.step_s == 1);  // four taps of three in a row
  CHECK(narrow.step_r == 1);
  CHECK_FALSE(plan_of(same(1, 8, 8, 3, 10, 3, 1), scaled).vectorised);
  for (const auto change :
       {+[](Int8Epilogue&e, float*p) { e.y.real = p; },
        +[](Int8Epilogue&e, float*p) { e.next.real = p, e.next_scale = e.next_shift = p; },
        +[](Int8Epilogue&e, float*p) { e.residual = p; }}) {
    Int8Epilogue epilogue = scaled;
    change(epilogue, reals);
    CHECK(plan_of(same(1, 8, 8, 3, 16, 3, 1), epilogue).vectorised);
    change(epilogue, reals + 1);
    CHECK_FALSE(plan_of(same(1, 8, 8, 3, 16, 3, 1), epilogue).vectorised);
  }
  CHECK(choose_int8_tile(1 << 20, 640, sm_80) == int8_conv_tiles[0]);
  CHECK(choose_int8_tile(1 << 20, 32, sm_80) == int8_conv_tiles[1]);
  CHECK(choose_int8_tile(64 * 27, 256, sm_80) == int8_conv_tiles[2]);  // 108 blocks

  // OIHW with two channels and two taps.
  const Bytes packed = pack_int8_weight({1, 1, 2, 2, 1, 1, 2, 1, {}, {}}, Bytes{1, 2, 3, 4});
  Bytes expected(32);
  expected[0] = 1, expected[1] = 3, expected[16] = 2, expected[17] = 4;
  CHECK(packed == expected);
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
