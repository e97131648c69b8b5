#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/convolution_int8.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/dense.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/reference/int8.hpp"
#include "tests/reference/values.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp::kernels::emulated {
namespace {

using reference::same, reference::with_padding;
using Bytes = std::vector<std::int8_t>;

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

std::int64_t y_size(const Conv2dShape& s) { return s.batch * s.out_h() * s.out_w() * s.out_c; }

/// Every byte that there is, but -128, which no value becomes.
Bytes random_bytes(std::int64_t count, std::uint64_t seed) {
  Bytes bytes;
  for (const float value : reference::integers(count, 127, seed))
    bytes.push_back(static_cast<std::int8_t>(value));
  return bytes;
}
Bytes filled(std::int64_t channels, const Bytes& values) {
  const std::vector<float> reals(values.begin(), values.end());
  Bytes result;
  for (const float value : reference::filled(channels, 16, reals))
    result.push_back(static_cast<std::int8_t>(value));
  return result;
}

/// What may become of a sum, in host memory.
struct Ending {
  std::vector<float> scale, shift = {}, residual = {}, next_scale = {}, next_shift = {};
  Activation activation = {}, next_activation = {};
  float inverse_scale = 0.03f, next_inverse_scale = 0.07f;
};

struct Results {
  std::vector<float> y, next;
  Bytes y_bytes, next_bytes;
  bool operator==(const Results&) const = default;
};

/// Which results are asked for.
struct Asked {
  bool y = true, y_bytes = true, next = false, next_bytes = false;
};

struct Problem {
  Conv2dShape shape;
  Bytes x, weight;
  std::vector<float> sums;  ///< in single precision, as 32-bit integers are converted

  explicit Problem(const Conv2dShape& s)
      : Problem(s, random_bytes(s.batch * s.in_h * s.in_w * s.in_c, 1),
                random_bytes(s.weight_size(), 2)) {}
  Problem(const Conv2dShape& s, Bytes x_, Bytes weight_)
      : shape(s), x(std::move(x_)), weight(std::move(weight_)) {
    const auto exact =
        reference::conv2d_forward(s, {x.begin(), x.end()}, {weight.begin(), weight.end()});
    sums.assign(exact.begin(), exact.end());
  }

  /// By the definition: each operation rounded once.
  Results expected(const Ending& e) const {
    Results r;
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const std::size_t o = i % static_cast<std::size_t>(shape.out_c);
      float value = sums[i] * e.scale[o];
      value = value + (e.shift.empty() ? 0.0f : e.shift[o]);
      if (!e.residual.empty()) value = value + e.residual[i];
      value = value > 0.0f ? value : e.activation.slope * value;
      r.y.push_back(value);
      r.y_bytes.push_back(reference::to_byte(value, e.inverse_scale));
      if (e.next_scale.empty()) continue;
      value = value * e.next_scale[o];
      value = value + e.next_shift[o];
      value = value > 0.0f ? value : e.next_activation.slope * value;
      r.next.push_back(value);
      r.next_bytes.push_back(reference::to_byte(value, e.next_inverse_scale));
    }
    return r;
  }

  /// What the emulated kernel makes where that is asked for; `skip` elements of single precision
  /// away from an aligned address, between margins that must stay.
  Results run(const Int8ConvTile& tile, const Ending& e, const Asked& asked,
              std::size_t skip = 0) const {
    constexpr std::size_t margin = 32;
    constexpr float sentinel = 12345.0f;
    constexpr std::int8_t byte_sentinel = -128;
    const auto count = static_cast<std::size_t>(y_size(shape));
    const DeviceArray<std::int8_t> device_x(filled(shape.in_c, x)),
        device_weight(pack_int8_weight(shape, weight));
    std::vector<float> residual(skip);
    residual.insert(residual.end(), e.residual.begin(), e.residual.end());
    const DeviceArray<float> scale(e.scale), shift(e.shift), next_scale(e.next_scale),
        next_shift(e.next_shift), added(residual);
    const std::vector<float> frame(count + 2 * margin + skip, sentinel);
    const Bytes byte_frame(count + 2 * margin, byte_sentinel);
    const DeviceArray<float> y(frame), next(frame);
    const DeviceArray<std::int8_t> y_bytes(byte_frame), next_bytes(byte_frame);
    Int8Epilogue epilogue{.scale = scale.data(), .activation = e.activation};
    if (shift.size() > 0) epilogue.shift = shift.data();
    if (!e.residual.empty()) epilogue.residual = added.data() + skip;
    if (asked.y) epilogue.y.real = y.data() + margin + skip;
    if (asked.y_bytes)
      epilogue.y.bytes = y_bytes.data() + margin, epilogue.y.inverse_scale = e.inverse_scale;
    if (!e.next_scale.empty()) {
      epilogue.next_scale = next_scale.data(), epilogue.next_shift = next_shift.data();
      epilogue.next_activation = e.next_activation;
    }
    if (asked.next) epilogue.next.real = next.data() + margin + skip;
    if (asked.next_bytes)
      epilogue.next.bytes = next_bytes.data() + margin,
      epilogue.next.inverse_scale = e.next_inverse_scale;
    conv2d_int8(nullptr, shape, tile, device_x.data(), device_weight.data(), epilogue);
    const auto inner = [&](const auto& array, bool was_asked, auto outside, std::size_t skipped) {
      auto values = array.values();
      const auto first = values.begin() + static_cast<std::ptrdiff_t>(margin + skipped);
      const auto last = values.end() - static_cast<std::ptrdiff_t>(margin);
      CHECK(std::count(values.begin(), first, outside) == first - values.begin());
      CHECK(std::count(last, values.end(), outside) == values.end() - last);
      if (!was_asked) CHECK(std::count(first, last, outside) == last - first);
      return was_asked ? std::vector(first, last) : decltype(values)();
    };
    return {inner(y, asked.y, sentinel, skip), inner(next, asked.next, sentinel, skip),
            inner(y_bytes, asked.y_bytes, byte_sentinel, 0),
            inner(next_bytes, asked.next_bytes, byte_sentinel, 0)};
  }

  bool agrees(const Int8ConvTile& tile, const Ending& e, Asked asked, std::size_t skip = 0) const {
    Results definition = expected(e);
    if (!asked.y) definition.y.clear();
    if (!asked.y_bytes) definition.y_bytes.clear();
    if (!asked.next) definition.next.clear();
    if (!asked.next_bytes) definition.next_bytes.clear();
    return run(tile, e, asked, skip) == definition;
  }

  /// The sums themselves.
  bool is_exact(const Int8ConvTile& tile) const {
    const Ending plain{.scale = std::vector<float>(static_cast<std::size_t>(shape.out_c), 1.0f)};
    return run(tile, plain, {.y_bytes = false}).y == sums;
  }
};

TEST_CASE("the int8 convolution equals its definition, to the last one") {
  for (const Conv2dShape& s : shapes) {
    CAPTURE(describe(s));
    const Problem problem(s);
    for (const Int8ConvTile& tile : int8_conv_tiles) {
      CAPTURE(tile.m);
      CAPTURE(tile.n);
      CHECK(problem.is_exact(tile));
    }
  }
}

TEST_CASE("the largest sums that 32 bits are promised to hold are exact") {
  // All of one sign: 127 * 127 * 66,000 needs 30 bits, far more than single precision has.
  const Conv2dShape s = as_convolution({2, 66'000, 4});
  Bytes x(2 * 66'000, 127), weight(4 * 66'000, 127);
  std::fill_n(weight.begin(), 66'000, std::int8_t{-127});
  x[3] = 1, weight[2 * 66'000 + 5] = -126;
  const Problem problem(s, x, weight);
  CHECK(problem.sums[4] == -127.0f * 127.0f * 66'000.0f);
  CHECK(problem.is_exact(int8_conv_tiles[2]));
}

TEST_CASE("it does under every schedule") {
  for (const Conv2dShape& s :
       {same(2, 9, 9, 48, 16, 3, 2), same(1, 9, 9, 32, 40, 3, 1), same(1, 3, 3, 16, 8, 1, 1)}) {
    const Problem problem(s);
    const Ending ending{.scale = reference::reals(s.out_c, 3),
                        .shift = reference::reals(s.out_c, 4),
                        .next_scale = reference::reals(s.out_c, 6),
                        .next_shift = reference::reals(s.out_c, 7),
                        .activation = {0.1f}};
    for (const Schedule& schedule : adversarial_schedules) {
      const WithSettings with(schedule);
      CAPTURE(schedule.name());
      for (const Int8ConvTile& tile : int8_conv_tiles)
        CHECK(problem.agrees(tile, ending, {true, true, true, true}));
    }
  }
}

TEST_CASE("scale, shift, residual, activation and what follows are the processor's operations") {
  for (const Conv2dShape& s : {same(2, 5, 5, 16, 24, 3, 1), same(2, 5, 5, 16, 10, 3, 1)}) {
    const Problem problem(s);
    const bool bytes = s.out_c % 4 == 0;
    for (const int parts : {0, 1, 2, 3}) {
      Ending ending{.scale = reference::reals(s.out_c, 4)};
      if (parts & 1) ending.shift = reference::reals(s.out_c, 5);
      if (parts & 2)
        for (const float v : reference::reals(y_size(s), 6)) ending.residual.push_back(3000.0f * v);
      for (const float slope : {1.0f, 0.0f, 0.1f}) {
        ending.activation.slope = slope;
        for (const std::size_t skip : {0, 1}) {
          CAPTURE(parts);
          CAPTURE(slope);
          CAPTURE(skip);
          for (const Int8ConvTile& tile : {int8_conv_tiles[1], int8_conv_tiles[2]}) {
            CHECK(problem.agrees(tile, ending, {true, bytes, false, false}, skip));
            if (bytes) CHECK(problem.agrees(tile, ending, {false, true, false, false}, skip));
          }
        }
      }
      ending.activation.slope = 0.1f;
      ending.next_activation.slope = 0.2f;
      ending.next_scale = reference::reals(s.out_c, 7);
      ending.next_shift = reference::reals(s.out_c, 8);
      for (const Asked& asked :
           {Asked{true, bytes, true, bytes}, Asked{false, false, true, false},
            Asked{true, false, false, bytes}, Asked{false, bytes, true, bytes}})
        for (const std::size_t skip : {0, 1})
          CHECK(problem.agrees(int8_conv_tiles[0], ending, asked, skip));
    }
  }
}

TEST_CASE("bytes are rounded to even on ties, and clamped, whatever comes out") {
  // Each output is its shift; a scale of 0 takes the products away.
  const std::vector<float> edges = reference::rounding_edges();
  const auto channels = static_cast<std::int64_t>(edges.size() + 3) / 4 * 4;
  const Problem problem(as_convolution({2, 16, channels}));
  for (const float inverse : {1.0f, 0.25f, 3.0f}) {
    CAPTURE(inverse);
    Ending ending{.scale = std::vector<float>(static_cast<std::size_t>(channels)),
                  .shift = edges,
                  .inverse_scale = inverse};
    ending.shift.resize(static_cast<std::size_t>(channels));
    for (float& v : ending.shift) v /= inverse;
    const Results results = problem.run(int8_conv_tiles[2], ending, {.y = false});
    CHECK(results.y_bytes == problem.expected(ending).y_bytes);
    CHECK(std::ranges::max(results.y_bytes) == 127);
    CHECK(std::ranges::min(results.y_bytes) == -127);
  }
}

TEST_CASE("no bank conflicts in the int8 convolution") {
  const Problem problem(same(1, 12, 12, 80, 136, 3, 1));
  for (const Int8ConvTile& tile : int8_conv_tiles) {
    CAPTURE(tile.n);
    Settings counting = settings();
    counting.count_bank_conflicts = true;
    const WithSettings with(counting);
    reset_bank_tally();
    CHECK(problem.is_exact(tile));
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
