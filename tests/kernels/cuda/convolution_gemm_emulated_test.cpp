#include <algorithm>
#include <bit>
#include <cmath>
#include <type_traits>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/convolution_operands.hpp"
#include "kernels/cuda/device.cuh"
#include "tests/emulator/device_array.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/reference/values.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp::kernels::emulated {
namespace {

using Bits = std::uint16_t;
using reference::to_bf16;
using reference::x_size, reference::y_size;

using reference::same, reference::with_padding;

// One pixel; many images in a tile and none that fills it; even kernels and lopsided padding;
// taps of one chunk, of less than a step, of more; pixels that no tap reads; wide padding; channels
// that fill no vector, or more than a tile; no padding at all; channels that fill no chunk.
const std::vector<Conv2dShape> shapes = {
    same(1, 1, 1, 8, 10, 3, 1),
    same(5, 3, 4, 16, 24, 3, 1),
    same(1, 9, 9, 24, 16, 3, 2),
    same(3, 6, 7, 40, 32, 4, 2),
    same(2, 7, 7, 32, 64, 1, 2),
    same(1, 12, 11, 8, 8, 5, 3),
    same(1, 4, 4, 8, 136, 3, 1),
    with_padding({2, 5, 5, 8, 16, 2, 3, 1, {}, {}}, {3, 0}, {0, 4}),
    with_padding({1, 6, 6, 72, 48, 3, 3, 2, {}, {}}, {0, 0}, {0, 0}),
    same(2, 6, 5, 1, 3, 3, 1),
    same(1, 9, 8, 3, 12, 3, 2),
    same(2, 5, 5, 5, 5, 2, 1),
    same(1, 6, 6, 12, 1, 4, 2)};

std::vector<Bits> to_bf16(const std::vector<float>& values) {
  std::vector<Bits> result;
  for (const float value : values) result.push_back(to_bf16(value));
  return result;
}

template <class T>
std::vector<T> convert(const std::vector<float>& values) {
  if constexpr (std::is_same_v<T, float>)
    return values;
  else
    return to_bf16(values);
}

/// [pixels, channels] as the kernels read it.
template <class Element>
std::vector<Element> filled(std::int64_t channels, const std::vector<float>& values) {
  return convert<Element>(reference::filled(channels, chunk_of<Element>, values));
}

template <class Element>
std::vector<Element> pack(const std::vector<ConvPass>& passes, const std::vector<float>& weight) {
  const DeviceArray<float> device_weight(weight);
  const DeviceArray<Element> packed(
      static_cast<std::size_t>(passes.back().weight_first + passes.back().weight_size()));
  pack_weight(nullptr, passes, device_weight.data(), packed.data());
  return packed.values();
}

template <class Element>
std::vector<ConvPass> forward_pass(const Conv2dShape& s) {
  return {ConvPass::forward(s, chunk_of<Element>)};
}

/// What may become of a sum, in host memory.
struct Ending {
  std::vector<float> scale, shift, residual;
  Activation activation;

  std::vector<float> apply(const std::vector<double>& sums, std::int64_t channels) const {
    std::vector<float> result;
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const std::size_t o = i % static_cast<std::size_t>(channels);
      const float y = std::fma(static_cast<float>(sums[i]), scale.empty() ? 1.0f : scale[o],
                               shift.empty() ? 0.0f : shift[o]) +
                      (residual.empty() ? 0.0f : residual[i]);
      const float negative = activation.slope == 0.0f ? std::max(0.0f, y) : y * activation.slope;
      result.push_back(y > 0.0f ? y : negative);
    }
    return result;
  }
};

constexpr std::size_t margin = 32;
constexpr float sentinel = 12345.0f;

template <class Output>
std::vector<Output> framed(const std::vector<Output>& values, std::size_t skip = 0) {
  const Output outside = convert<Output>({sentinel})[0];
  std::vector<Output> frame(values.size() + 2 * margin + skip, outside);
  std::copy(values.begin(), values.end(),
            frame.begin() + static_cast<std::ptrdiff_t>(margin + skip));
  return frame;
}

/// The emulated result of the passes, one after the other, between its margins; `skip` elements
/// away from an aligned address.
template <class Output, class Element>
std::vector<Output> run(const std::vector<ConvPass>& passes, const ConvTile& tile,
                        const std::vector<Element>& x, const std::vector<Element>& weight,
                        std::int64_t size, const Ending& ending = {}, std::size_t skip = 0) {
  const DeviceArray<Element> device_x(x), device_weight(weight);
  const DeviceArray<Bits> residual(to_bf16(ending.residual));
  const DeviceArray<float> scale(ending.scale), shift(ending.shift);
  const DeviceArray<Output> y(framed(std::vector<Output>(static_cast<std::size_t>(size)), skip));
  ConvEpilogue epilogue;
  if (scale.size() > 0) epilogue.scale = scale.data();
  if (shift.size() > 0) epilogue.shift = shift.data();
  if (residual.size() > 0) epilogue.residual = residual.data();
  epilogue.activation = ending.activation;
  for (const ConvPass& pass : passes)
    conv2d_gemm(nullptr, pass, tile, device_x.data(), device_weight.data(), epilogue,
                y.data() + margin + skip);
  return y.values();
}

struct Problem {
  Conv2dShape shape;
  std::vector<float> x, weight, dy;

  explicit Problem(const Conv2dShape& s)
      : shape(s),
        x(reference::integers(x_size(s), 4, 1)),
        weight(reference::integers(s.weight_size(), 4, 2)),
        dy(reference::integers(y_size(s), 4, 3)) {}

  template <class Element, class Output>
  bool forward_is_exact(const ConvTile& tile, const Ending& ending = {},
                        std::size_t skip = 0) const {
    const std::vector<float> y =
        ending.apply(reference::conv2d_forward(shape, x, weight), shape.out_c);
    const std::vector<ConvPass> pass = forward_pass<Element>(shape);
    return run<Output>(pass, tile, filled<Element>(shape.in_c, x), pack<Element>(pass, weight),
                       y_size(shape), ending, skip) == framed(convert<Output>(y), skip);
  }

  template <class Element>
  bool backward_data_is_exact(const ConvTile& tile, const Ending& ending = {}) const {
    const std::vector<float> dx =
        ending.apply(reference::conv2d_backward_data(shape, dy, weight), shape.in_c);
    const auto passes = ConvPass::backward_data(shape, chunk_of<Element>);
    return run<float>(passes, tile, filled<Element>(shape.out_c, dy), pack<Element>(passes, weight),
                      x_size(shape), ending) == framed(dx);
  }
};

TEST_CASE("the tensor-core convolution and its data gradient equal their definitions on integers") {
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const Conv2dShape& s = shapes[i];
    CAPTURE(s.in_h);
    CAPTURE(s.in_c);
    CAPTURE(s.out_c);
    const Problem problem(s);
    // Two tiles in turn, so that each meets half of the shapes.
    for (const std::size_t turn : {i, i + 1}) {
      const ConvTile& tile = conv_tiles[turn % std::size(conv_tiles)];
      CAPTURE(tile.m);
      CAPTURE(tile.n);
      CHECK(problem.forward_is_exact<Bits, float>(tile));
      CHECK(problem.backward_data_is_exact<Bits>(tile));
      CHECK(problem.forward_is_exact<float, float>(tile));
      CHECK(problem.backward_data_is_exact<float>(tile));
    }
  }
}

TEST_CASE("they do under every schedule") {
  for (const Conv2dShape& s :
       {same(2, 9, 9, 24, 16, 3, 2), same(1, 9, 9, 24, 40, 3, 1), same(1, 3, 3, 8, 8, 1, 1)}) {
    const Problem problem(s);
    for (const Schedule& schedule : adversarial_schedules) {
      const WithSettings with(schedule);
      CAPTURE(schedule.name());
      for (const ConvTile& tile : conv_tiles) CHECK(problem.forward_is_exact<Bits, Bits>(tile));
      for (const ConvTile& tile : {conv_tiles[0], conv_tiles[3]})
        CHECK(problem.forward_is_exact<float, float>(tile));
      CHECK(problem.backward_data_is_exact<Bits>(conv_tiles[3]));
    }
  }
}

TEST_CASE("scale, shift, residual and activation") {
  for (const Conv2dShape& s : {same(2, 5, 5, 8, 24, 3, 1), same(2, 5, 5, 8, 10, 3, 1)}) {
    const Problem problem(s);
    Ending ending;
    for (const int parts : {0, 1, 2, 4, 7}) {
      ending.scale = parts & 1 ? reference::integers(s.out_c, 3, 4) : std::vector<float>();
      ending.shift = parts & 2 ? reference::integers(s.out_c, 100, 5) : std::vector<float>();
      ending.residual = parts & 4 ? reference::integers(y_size(s), 100, 6) : std::vector<float>();
      for (const float slope : {1.0f, 0.0f, 0.25f}) {
        ending.activation.slope = slope;
        for (const std::size_t skip : {0, 1}) {
          CAPTURE(parts);
          CAPTURE(slope);
          CAPTURE(skip);
          CHECK(problem.forward_is_exact<float, float>(conv_tiles[3], ending, skip));
          CHECK(problem.forward_is_exact<Bits, Bits>(conv_tiles[3], ending, skip));
        }
      }
    }
    ending.scale = reference::integers(s.in_c, 3, 7);
    ending.shift = {};
    ending.residual = reference::integers(x_size(s), 100, 8);
    CHECK(problem.backward_data_is_exact<Bits>(conv_tiles[2], ending));
  }
}

TEST_CASE("what follows y is written beside it or in its place, from y before it is rounded") {
  for (const Conv2dShape& s : {same(2, 5, 5, 8, 24, 3, 1), same(2, 5, 5, 8, 10, 3, 1)}) {
    const Problem problem(s);
    const Ending ending{reference::reals(s.out_c, 4), reference::reals(s.out_c, 5),
                        reference::integers(y_size(s), 100, 6), Activation::relu()};
    const auto next_scale = reference::reals(s.out_c, 7), next_shift = reference::reals(s.out_c, 8);
    const auto y = ending.apply(reference::conv2d_forward(s, problem.x, problem.weight), s.out_c);
    std::vector<float> next;
    for (std::size_t i = 0; i < y.size(); ++i) {
      const std::size_t o = i % static_cast<std::size_t>(s.out_c);
      const float value = next_scale[o] * y[i] + next_shift[o];
      next.push_back(value > 0.0f ? value : 0.25f * value);
    }
    const auto passes = forward_pass<Bits>(s);
    const DeviceArray<Bits> x(filled<Bits>(s.in_c, problem.x)),
        weight(pack<Bits>(passes, problem.weight)), residual(to_bf16(ending.residual));
    const DeviceArray<float> scale(ending.scale), shift(ending.shift), a(next_scale), b(next_shift);
    for (const ConvTile& tile : conv_tiles) {
      for (const std::size_t skip : {0, 1}) {
        for (const bool with_y : {true, false}) {
          CAPTURE(tile.n);
          CAPTURE(skip);
          CAPTURE(with_y);
          const DeviceArray<Bits> to(framed(std::vector<Bits>(y.size()), skip)),
              after(framed(std::vector<Bits>(y.size()), skip));
          conv2d_gemm(nullptr, passes[0], tile, x.data(), weight.data(),
                      {.scale = scale.data(),
                       .shift = shift.data(),
                       .residual = residual.data(),
                       .activation = ending.activation,
                       .next_scale = a.data(),
                       .next_shift = b.data(),
                       .next_activation = Activation::leaky_relu(0.25f),
                       .next = after.data() + margin + skip},
                      with_y ? to.data() + margin + skip : static_cast<Bits*>(nullptr));
          CHECK(after.values() == framed(to_bf16(next), skip));
          CHECK(to.values() == framed(with_y ? to_bf16(y) : std::vector<Bits>(y.size()), skip));
        }
      }
    }
    CHECK_FAILS(conv2d_gemm(nullptr, passes[0], conv_tiles[0], x.data(), weight.data(),
                            {.next = residual.data()}, static_cast<Bits*>(nullptr)),
                "no scale or no shift");
  }
}

template <class Element>
void check_that_neighbours_do_not_matter() {
  const Conv2dShape s = same(3, 7, 7, 24, 40, 3, 1);
  Conv2dShape one = s;
  one.batch = 1;
  const auto x = convert<Element>(reference::reals(x_size(s), 9));
  const auto weight =
      pack<Element>(forward_pass<Element>(s), reference::reals(s.weight_size(), 10));
  const auto all = run<float>(forward_pass<Element>(s), conv_tiles[0], x, weight, y_size(s));
  for (const ConvTile& tile : conv_tiles) {
    for (std::int64_t n = 0; n < s.batch; ++n) {
      const std::vector<Element> image(x.begin() + n * x_size(one),
                                       x.begin() + (n + 1) * x_size(one));
      const auto alone = run<float>(forward_pass<Element>(one), tile, image, weight, y_size(one));
      CHECK(std::equal(alone.begin() + margin, alone.end() - margin,
                       all.begin() + margin + n * y_size(one)));
    }
  }
}

TEST_CASE("a pixel's bits depend neither on the other images nor on the tile") {
  check_that_neighbours_do_not_matter<Bits>();
  check_that_neighbours_do_not_matter<float>();
}

/// To nearest, ties away from zero.
float to_tf32(float value) {
  return std::bit_cast<float>((std::bit_cast<std::uint32_t>(value) + 0x1000) & 0xffffe000u);
}

TEST_CASE("tf32 rounds every operand to 11 bits and nothing else") {
  Problem problem(same(2, 5, 4, 12, 20, 3, 1));
  const Conv2dShape& s = problem.shape;
  problem.x = reference::reals(x_size(s), 11),
  problem.weight = reference::reals(s.weight_size(), 12);
  const auto pass = forward_pass<float>(s);
  const auto result =
      run<float>(pass, conv_tiles[3], problem.x, pack<float>(pass, problem.weight), y_size(s));
  std::transform(problem.x.begin(), problem.x.end(), problem.x.begin(), to_tf32);
  std::transform(problem.weight.begin(), problem.weight.end(), problem.weight.begin(), to_tf32);
  const auto y = reference::conv2d_forward(s, problem.x, problem.weight);
  // 14 sums of 8 products below 1, each rounded to 24 bits.
  for (std::size_t i = 0; i < y.size(); ++i)
    CHECK(std::abs(double{result[margin + i]} - y[i]) < 14 * 64 * 0x1p-24);
}

TEST_CASE("what is not a number reaches only what it is part of") {
  // (No padding: its zeros are multiplied like other values.)
  Problem problem({1, 5, 5, 16, 24, 3, 3, 1, {}, {}});
  const Conv2dShape& s = problem.shape;
  problem.x[0] = problem.weight[0] = NAN;
  const auto y = reference::conv2d_forward(s, problem.x, problem.weight);
  const auto check = [&]<class Element>(const std::vector<Element>& x) {
    const auto result =
        run<float>(forward_pass<Element>(s), conv_tiles[3], x,
                   pack<Element>(forward_pass<Element>(s), problem.weight), y_size(s));
    for (std::size_t i = 0; i < y.size(); ++i) {
      const float value = result[margin + i];
      CHECK((std::isnan(y[i]) ? std::isnan(value) : value == static_cast<float>(y[i])));
    }
  };
  check(problem.x);
  std::vector<Bits> x = to_bf16(problem.x);
  x[0] = 0x7fff;
  check(x);
}

TEST_CASE("no bank conflicts") {
  const Problem problem(same(1, 12, 12, 40, 136, 3, 1));
  const auto check = [&]<class Element, class Output>(Element, Output, const ConvTile& tile) {
    Settings counting = settings();
    counting.count_bank_conflicts = true;
    const WithSettings with(counting);
    reset_bank_tally();
    CHECK(problem.forward_is_exact<Element, Output>(tile));
    // 45 or 90 chunks are 12 or 23 steps, and the first half step is read ahead. Eight rows of one
    // chunk are a matrix, and every warp reads its own.
    const int half_steps = 2 * (sizeof(Element) == 2 ? 12 : 23) + 1;
    const int blocks = (144 + tile.m - 1) / tile.m * ((136 + tile.n - 1) / tile.n);
    const int matrices = (tile.m * tile.n_warps + tile.n * tile.m_warps) / 8 * 2;
    CHECK(bank_tally().phases > static_cast<unsigned>(blocks * half_steps * matrices));
    CHECK(bank_tally().conflicts == 0);
  };
  for (const ConvTile& tile : conv_tiles) {
    check(Bits{}, Bits{}, tile);
    check(float{}, float{}, tile);
  }
}

TEST_CASE("packed weights and filled channels") {
  const Conv2dShape s{1, 4, 4, 2, 6, 1, 2, 1, {}, {}};
  std::vector<float> weight;
  for (int i = 0; i < s.weight_size(); ++i) weight.push_back(static_cast<float>(i));
  const auto forward = pack<Bits>(forward_pass<Bits>(s), weight);
  REQUIRE(forward.size() == 6 * 2 * 8);
  // [o, c, r, s]: channel 0 of kernel 0 is 0, 1; channel 1 is 2, 3.
  CHECK(std::vector(forward.begin(), forward.begin() + 16) ==
        to_bf16({0, 2, 0, 0, 0, 0, 0, 0, 1, 3, 0, 0, 0, 0, 0, 0}));
  const auto data = pack<Bits>(ConvPass::backward_data(s, 8), weight);
  CHECK(std::vector(data.begin(), data.begin() + 16) ==
        to_bf16({1, 5, 9, 13, 17, 21, 0, 0, 0, 4, 8, 12, 16, 20, 0, 0}));
  const auto data_tf32 = pack<float>(ConvPass::backward_data(s, 4), weight);
  REQUIRE(data_tf32.size() == 2 * 2 * 8);
  CHECK(std::vector(data_tf32.begin(), data_tf32.begin() + 16) ==
        std::vector<float>{1, 5, 9, 13, 17, 21, 0, 0, 0, 4, 8, 12, 16, 20, 0, 0});

  const std::vector<float> awkward = {1.00390625f, 1.01171875f, -0.0f,      INFINITY,
                                      NAN,         3.4e38f,     1.0039064f, 1e-45f};
  const std::vector<Bits> rounded = {0x3f80, 0x3f82, 0x8000, 0x7f80, 0x7fff, 0x7f80, 0x3f81, 0};
  CHECK(pack<Bits>(forward_pass<Bits>({1, 1, 1, 8, 1, 1, 1, 1, {}, {}}), awkward) == rounded);
  const DeviceArray<float> device_awkward(awkward);
  const DeviceArray<Bits> filled_awkward(8);
  fill_channels(nullptr, 1, 8, device_awkward.data(), filled_awkward.data());
  CHECK(filled_awkward.values() == rounded);

  for (const std::int64_t channels : {1, 3, 4, 5, 8, 12, 32, 33}) {
    CAPTURE(channels);
    for (const std::size_t skip : {0, 1}) {
      const std::vector<float> x = reference::integers(7 * channels, 100, 13);
      std::vector<float> skipped(skip);
      skipped.insert(skipped.end(), x.begin(), x.end());
      const DeviceArray<float> device_x(skipped);
      const auto check = [&]<class Element>(const std::vector<Element>& expected) {
        const DeviceArray<Element> y(expected.size());
        fill_channels(nullptr, 7, channels, device_x.data() + skip, y.data());
        CHECK(y.values() == expected);
      };
      check(filled<Bits>(channels, x));
      check(filled<float>(channels, x));
    }
  }
}

TEST_CASE("the data gradient's classes reach every pixel once, every tap once") {
  for (const Conv2dShape& s : shapes) {
    std::vector<int> written(static_cast<std::size_t>(x_size(s)));
    std::int64_t weights = 0;
    for (const ConvPass& pass : ConvPass::backward_data(s, 1)) {
      CHECK(pass.weight_first == weights);
      weights += pass.weight_size();
      for (std::int64_t n = 0; n < pass.batch; ++n)
        for (std::int64_t p = 0; p < pass.out_h; ++p)
          for (std::int64_t q = 0; q < pass.out_w; ++q)
            for (std::int64_t o = 0; o < pass.out_c; ++o)
              ++written.at(static_cast<std::size_t>(pass.first + n * pass.image + p * pass.row +
                                                    q * pass.column + o));
    }
    CHECK(std::all_of(written.begin(), written.end(), [](int times) { return times == 1; }));
    // A tap reaches every input in a class, or none where the stride jumps over its inputs.
    CHECK(weights <= s.weight_size());
    if (std::min(s.in_h, s.in_w) >= s.stride) CHECK(weights == s.weight_size());
  }
  // 3x3, stride 2, one row of padding behind: rows 0 get taps 0 and 2, rows 1 tap 1.
  const auto passes = ConvPass::backward_data(same(1, 32, 32, 16, 32, 3, 2), 8);
  REQUIRE(passes.size() == 4);
  CHECK(passes[0].kernel_h == 2);
  CHECK(passes[0].pad_h == 1);
  CHECK(passes[3].kernel_h == 1);
  CHECK(passes[3].pad_h == 0);
  CHECK(passes[3].first == 33 * 16);
}

TEST_CASE("the plan and the tile") {
  alignas(16) const Bits memory[16] = {};
  const auto plan_of = [&](const Conv2dShape& s, const Bits* y = nullptr) {
    return ConvPlan::make(ConvPass::forward(s, 8), 8, conv_tiles[0], memory, memory, {}, y,
                          sizeof(Bits));
  };
  const ConvPlan wide = plan_of(same(100, 32, 32, 160, 320, 3, 2));
  CHECK(wide.pixels == 100 * 16 * 16);
  CHECK(wide.blocks == 200 * 3);
  CHECK(wide.taps_chunks == 9 * 20);
  CHECK(wide.step_chunk == 4);
  CHECK(wide.step_s == 0);
  CHECK(wide.step_r == 0);
  CHECK(wide.vectorised);
  const ConvPlan narrow = plan_of(same(1, 8, 8, 8, 16, 3, 1));
  CHECK(narrow.step_chunk == 0);
  CHECK(narrow.step_s == 1);  // four taps of three in a row
  CHECK(narrow.step_r == 1);
  CHECK_FALSE(plan_of(same(1, 8, 8, 8, 10, 3, 1)).vectorised);
  CHECK_FALSE(plan_of(same(1, 8, 8, 8, 16, 3, 1), memory + 2).vectorised);
  CHECK(plan_of(same(1, 8, 8, 8, 16, 3, 1), memory + 4).vectorised);

  CHECK(wide.step_offset == 4);
  CHECK(wide.row_offset == (32 - 3) * 20);
  CHECK(narrow.step_offset == 8 + 1);
  CHECK(narrow.row_offset == 8 - 3);

  const auto chosen = [](std::int64_t rows, std::int64_t side, std::int64_t channels) {
    return choose_conv_tile(ConvPass::forward(same(rows, side, side, 64, channels, 3, 1), 8), 8,
                            sm_80);
  };
  CHECK(chosen(1 << 10, 32, 640) == conv_tiles[4]);
  CHECK(chosen(1 << 10, 32, 160) == conv_tiles[4]);
  CHECK(chosen(1 << 10, 32, 128) == conv_tiles[0]);
  CHECK(chosen(1 << 10, 32, 64) == conv_tiles[1]);
  CHECK(chosen(1 << 10, 32, 32) == conv_tiles[2]);
  CHECK(chosen(3 * 64, 3, 256) == conv_tiles[3]);  // 108 blocks
}

TEST_CASE("the tensor-core convolution refuses what it cannot do, by name") {
  alignas(16) const Bits memory[16] = {};
  const auto refused = [&](const Conv2dShape& s, const Bits* x) {
    conv2d_gemm(nullptr, ConvPass::forward(s, 8), conv_tiles[0], x, memory, {},
                static_cast<float*>(nullptr));
  };
  const auto unfilled = [&] {
    conv2d_gemm(nullptr, ConvPass::forward(same(1, 8, 8, 12, 16, 3, 1), 4), conv_tiles[0], memory,
                memory, {}, static_cast<float*>(nullptr));
  };
  CHECK_FAILS(unfilled(), "1 images 8x8x12 to 8x8x16");
  CHECK_FAILS(unfilled(), "fill vectors of 16 bytes");
  CHECK_FAILS(refused(same(1, 8, 8, 8, 16, 3, 1), memory + 4), "aligned to 16 bytes");
  CHECK_FAILS(refused(same(1, 40000, 1, 8, 16, 3, 1), memory), "32767");
  CHECK_FAILS(refused(same(1, 32, 32, 8, 16, 16, 1), memory), "at most 15 x 15 taps");
  CHECK_FAILS(refused(same(1, 20000, 20000, 64, 16, 3, 1), memory), "2^30 values");
  CHECK_FAILS(refused(same(std::int64_t{1} << 39, 32, 32, 8, 16, 3, 1), memory), "2^30 tiles");
  CHECK_FAILS(refused({1, 2, 2, 8, 8, 3, 3, 1, {}, {}}, memory), "larger than the padded image");
  CHECK_FAILS(
      conv2d_gemm(nullptr, ConvPass::forward(same(1, 8, 8, 8, 16, 3, 1), 8),
                  ConvTile{32, 32, 4, 2, 2}, memory, memory, {}, static_cast<float*>(nullptr)),
      "no kernel of such a tile");
  refused(same(0, 8, 8, 8, 16, 3, 1), memory);  // no image: nothing to do
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
