#include "kernels/cpu/product.hpp"

#include <algorithm>
#include <cmath>
#include <thread>

#include <doctest/doctest.h>

#include "kernels/cpu/dense_product.hpp"
#include "kernels/dense.hpp"
#include "kernels/inference.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/reference/plan.hpp"
#include "tests/reference/values.hpp"

using namespace pixeldp;
using namespace pixeldp::kernels;
using namespace pixeldp::kernels::cpu;
using reference::same, reference::with_padding;
using reference::x_size, reference::y_size;

namespace {

// Outputs that fill no group, and one, two, three, four, five groups; channels that fill no word;
// tiles that span rows and images; padding before, after, and wider than the kernel.
const std::vector<Conv2dShape> shapes = {
    same(3, 9, 7, 3, 5, 3, 1),
    same(1, 28, 28, 1, 32, 5, 2),
    same(5, 4, 4, 16, 48, 3, 1),
    same(2, 8, 8, 20, 70, 3, 2),
    same(37, 1, 1, 300, 10, 1, 1),
    same(2, 6, 5, 7, 64, 2, 1),
    with_padding({2, 4, 4, 3, 17, 2, 3, 1, {}, {}}, {3, 0}, {0, 4}),
    with_padding({9, 5, 6, 8, 16, 3, 3, 2, {}, {}}, {0, 0}, {0, 0})};

// Of bytes, as AMX takes them: tiles of a row of outputs, whole and cut off; of an output in many
// images, likewise; runs that fill no tile, one, and several but the last; one group of outputs by
// itself, and after a pair; rows multiplied where they lie.
const std::vector<Conv2dShape> tiled_shapes = {
    same(2, 5, 16, 16, 16, 3, 1),  same(1, 6, 32, 24, 40, 3, 1),   same(3, 4, 20, 64, 32, 3, 1),
    same(35, 4, 4, 20, 33, 3, 2),  same(19, 14, 14, 32, 64, 5, 2), same(37, 1, 1, 64, 48, 1, 1),
    same(50, 1, 1, 16, 16, 1, 1),  same(2, 3, 16, 64, 16, 1, 1),   same(17, 3, 3, 40, 80, 3, 1),
    same(100, 2, 1, 128, 32, 1, 1)};

Conv2dShape row_of(Conv2dShape s) {
  s.batch = 1;
  return s;
}

/// In runs of `rows` rows.
template <class T>
std::vector<float> run(const PreparedProduct& product, const Conv2dShape& s,
                       const std::vector<T>& x, Activation activation, std::int64_t rows,
                       const std::vector<float>& residual = {}) {
  std::vector<float> y(static_cast<std::size_t>(y_size(s)), NAN);
  std::vector<std::byte> scratch(static_cast<std::size_t>(product.scratch_size(rows)));
  for (std::int64_t first = 0; first < s.batch; first += rows) {
    const std::int64_t at = first * y_size(row_of(s));
    product.run(std::min(rows, s.batch - first), x.data() + first * x_size(row_of(s)),
                {.activation = activation,
                 .target = {.real = y.data() + at},
                 .residual = residual.empty() ? nullptr : residual.data() + at},
                scratch.data());
  }
  return y;
}

std::vector<std::int8_t> bytes_of(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

template <class F>
void for_each_set(F f) {
  for (const InstructionSet set : instruction_sets) {
    if (!supported(set)) continue;
    CAPTURE(name(set));
    f(set);
  }
}

}  // namespace

TEST_CASE("products in fp32 are one chain of fused multiply-additions in every instruction set") {
  for (const Conv2dShape& s : shapes) {
    CAPTURE(s.in_h);
    CAPTURE(s.out_c);
    const auto x = reference::reals(x_size(s), 1), weight = reference::reals(s.weight_size(), 2),
               shift = reference::reals(s.out_c, 3), residual = reference::reals(y_size(s), 4);
    const Activation leaky = Activation::leaky_relu(0.1f);
    const auto sums = reference::fused_conv2d(s, s.in_c, Activation::identity(), x, weight, shift);
    std::vector<float> added = sums;
    for (std::size_t i = 0; i < added.size(); ++i) {
      added[i] += residual[i];
      if (!(added[i] > 0)) added[i] *= leaky.slope;
    }
    for_each_set([&](InstructionSet set) {
      const Product product(row_of(s), Precision::fp32, weight, shift, set);
      for (const std::int64_t rows : {s.batch, std::int64_t{1}, std::int64_t{3}}) {
        CHECK(run(product, s, x, Activation::identity(), rows) == sums);
        CHECK(run(product, s, x, leaky, rows, residual) == added);
      }
    });
  }
}

TEST_CASE("a convolution in a processor's plan has the bits of the GPU's direct one") {
  const Stream stream;
  for (const Conv2dShape& s : shapes) {
    const auto x = reference::reals(x_size(s), 5), weight = reference::reals(s.weight_size(), 6),
               scale = reference::reals(s.out_c, 7), shift = reference::reals(s.out_c, 8);
    std::vector<float> scaled = weight;
    for (std::size_t i = 0; i < scaled.size(); ++i)
      scaled[i] *= scale[i * static_cast<std::size_t>(s.out_c) / scaled.size()];
    std::vector<float> y(static_cast<std::size_t>(y_size(s)));
    reference::run_plan(
        stream,
        reference::plan_of(x_size(row_of(s)), {reference::convolution_step(
                                                  s, weight, Activation::relu(), scale, shift)}),
        Precision::fp32, s.batch, x.data(), y.data());
    CHECK(y == reference::fused_conv2d(s, s.in_c, Activation::relu(), x, scaled, shift));
  }
}

TEST_CASE("products of bytes are exact in every instruction set, whatever they are padded with") {
  if (!supported(InstructionSet::amx))
    MESSAGE("no AMX, or none that the operating system gives: its products are not tested");
  std::vector<Conv2dShape> all = shapes;
  all.insert(all.end(), tiled_shapes.begin(), tiled_shapes.end());
  for (const Conv2dShape& s : all) {
    CAPTURE(s.in_h);
    CAPTURE(s.out_c);
    auto x = reference::integers(x_size(s), 127, 1),
         weight = reference::integers(s.weight_size(), 127, 2);
    // One output with the largest products that there are, all of one sign.
    const std::int64_t taps = s.weight_size() / s.out_c;
    std::fill_n(weight.begin(), taps, 127.0f);
    std::fill_n(x.begin(), x_size(row_of(s)), -127.0f);
    const auto scale = reference::integers(s.out_c, 5, 3),
               shift = reference::integers(s.out_c, 9, 4),
               residual = reference::integers(y_size(s), 1000, 5);
    const auto sums = reference::conv2d_forward(s, x, weight);
    constexpr float inverse_scale = 1e-3f;
    std::vector<float> expected;
    std::vector<std::uint8_t> expected_bytes;
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const std::size_t o = i % static_cast<std::size_t>(s.out_c);
      const float value = static_cast<float>(sums[i]) * scale[o] + shift[o] + residual[i];
      expected.push_back(value > 0 ? value : 0.5f * value);
      expected_bytes.push_back(static_cast<std::uint8_t>(
          zero_byte +
          std::nearbyint(std::clamp(expected.back() * inverse_scale, -127.0f, 127.0f))));
    }
    std::vector<std::uint8_t> bytes;
    for (const float v : x) bytes.push_back(static_cast<std::uint8_t>(v + zero_byte));
    for_each_set([&](InstructionSet set) {
      const Product product(row_of(s), bytes_of(weight), scale, shift, set);
      for (const std::int64_t rows : {s.batch, std::int64_t{2}})
        CHECK(run(product, s, bytes, {0.5f}, rows, residual) == expected);
      std::vector<std::byte> scratch(static_cast<std::size_t>(product.scratch_size(s.batch)));
      for (const bool with_reals : {false, true}) {
        std::vector<float> y(expected.size());
        std::vector<std::uint8_t> made(y.size());
        product.run(s.batch, bytes.data(),
                    {.activation = {0.5f},
                     .target = {.real = with_reals ? y.data() : nullptr,
                                .bytes = made.data(),
                                .inverse_scale = inverse_scale},
                     .residual = residual.data()},
                    scratch.data());
        CHECK(made == expected_bytes);
        if (with_reals) CHECK(y == expected);
      }
    });
  }
}

TEST_CASE("several threads may run a product of bytes at once") {
  const Conv2dShape s = tiled_shapes[4];
  const auto x = reference::integers(x_size(s), 127, 1),
             weight = reference::integers(s.weight_size(), 127, 2),
             scale = reference::integers(s.out_c, 5, 3);
  std::vector<std::uint8_t> bytes;
  for (const float v : x) bytes.push_back(static_cast<std::uint8_t>(v + zero_byte));
  for_each_set([&](InstructionSet set) {
    const Product product(row_of(s), bytes_of(weight), scale, {}, set);
    const auto expected = run(product, s, bytes, Activation::relu(), s.batch);
    std::vector<std::vector<float>> made(4);
    std::vector<std::thread> threads;
    for (std::vector<float>& y : made)
      threads.emplace_back([&] {
        for (int i = 0; i < 20; ++i) y = run(product, s, bytes, Activation::relu(), s.batch);
      });
    for (std::thread& thread : threads) thread.join();
    for (const std::vector<float>& y : made) CHECK(y == expected);
  });
}

TEST_CASE("a dense layer by panels has the bits of its product in every instruction set") {
  // One panel and several, the last one shorter; groups that go alone and together; rows that fill
  // no block, and several.
  for (const DenseShape& dense :
       {DenseShape{1, 16, 16}, DenseShape{5, 320, 32}, DenseShape{7, 336, 48},
        DenseShape{64, 1008, 16}, DenseShape{130, 704, 80}}) {
    const Conv2dShape s = as_convolution(dense);
    CAPTURE(s.batch);
    const auto x = reference::reals(x_size(s), 1), weight = reference::reals(s.weight_size(), 2),
               scale = reference::reals(s.out_c, 3), shift = reference::reals(s.out_c, 4),
               residual = reference::reals(y_size(s), 5);
    const auto whole_x = reference::integers(x_size(s), 127, 6);
    auto whole_weight = reference::integers(s.weight_size(), 127, 7);
    std::fill_n(whole_weight.begin(), dense.in, -127.0f);
    std::vector<std::uint8_t> bytes, high_bytes;
    for (const float v : whole_x) {
      bytes.push_back(static_cast<std::uint8_t>(v + zero_byte));
      high_bytes.push_back(static_cast<std::uint8_t>(std::abs(v) + zero_byte));
    }
    std::fill_n(high_bytes.begin(), dense.in, std::uint8_t{255});  // the largest sum of one sign
    for_each_set([&](InstructionSet set) {
      const Product reals(row_of(s), Precision::fp32, weight, shift, set),
          whole(row_of(s), bytes_of(whole_weight), scale, shift, set);
      const DenseProduct panels(s.out_c, weight, shift, set),
          whole_panels(s.out_c, bytes_of(whole_weight), scale, shift, false, set),
          byte_panels(s.out_c, bytes_of(whole_weight), scale, shift, true, set);
      for (const std::int64_t rows : {s.batch, std::int64_t{3}}) {
        CHECK(run(panels, s, x, {0.5f}, rows, residual) ==
              run(reals, s, x, {0.5f}, rows, residual));
        CHECK(run(whole_panels, s, bytes, {0.5f}, rows, residual) ==
              run(whole, s, bytes, {0.5f}, rows, residual));
        CHECK(run(byte_panels, s, high_bytes, {0.5f}, rows, residual) ==
              run(whole, s, high_bytes, {0.5f}, rows, residual));
      }
      std::vector<std::uint8_t> made(static_cast<std::size_t>(y_size(s))), expected(made.size());
      const auto go = [&](const PreparedProduct& product, std::vector<std::uint8_t>& y) {
        std::vector<std::byte> scratch(static_cast<std::size_t>(product.scratch_size(s.batch)));
        product.run(s.batch, bytes.data(), {.target = {.bytes = y.data(), .inverse_scale = 1e-3f}},
                    scratch.data());
      };
      go(whole_panels, made);
      go(whole, expected);
      CHECK(made == expected);
    });
  }
  CHECK_FALSE(DenseProduct::takes(3136, 10));
  CHECK_FALSE(DenseProduct::takes(300, 16));
}

TEST_CASE("results go out as bf16 and as bytes, alone or with the reals, the same in every set") {
  const Conv2dShape s = shapes[3];
  const auto x = reference::reals(x_size(s), 1), weight = reference::reals(s.weight_size(), 2);
  const auto count = static_cast<std::size_t>(y_size(s));
  for_each_set([&](InstructionSet set) {
    const Product product(row_of(s), Precision::fp32, weight, {}, set);
    const auto reals = run(product, s, x, Activation::relu(), s.batch);
    std::vector<std::byte> scratch(static_cast<std::size_t>(product.scratch_size(s.batch)));
    std::vector<std::uint16_t> halves(count);
    std::vector<std::uint8_t> bytes(count), alone(count);
    const auto go = [&](InferenceTarget target) {
      product.run(s.batch, x.data(),
                  {.activation = Activation::relu(), .kind = Real::bf16, .target = target},
                  scratch.data());
    };
    go({.real = halves.data(), .bytes = bytes.data(), .inverse_scale = 50.0f});
    go({.bytes = alone.data(), .inverse_scale = 50.0f});
    CHECK(alone == bytes);
    for (std::size_t i = 0; i < count; ++i) {
      const float half = std::bit_cast<float>(std::uint32_t{halves[i]} << 16);
      CHECK(std::abs(half - reals[i]) <= reals[i] * 0x1p-8f);
      CHECK(bytes[i] == zero_byte + std::nearbyint(std::min(reals[i] * 50.0f, 127.0f)));
    }
    CHECK(*std::ranges::max_element(bytes) == zero_byte + 127);
  });
}

TEST_CASE("products in bf16 round their operands, and nothing else where sums are exact") {
  if (const std::string obstacle = inference_obstacle(Precision::bf16); !obstacle.empty()) {
    MESSAGE(obstacle);
    return;
  }
  for (const Conv2dShape& s : shapes) {
    const auto x = reference::integers(x_size(s), 4, 1),
               weight = reference::integers(s.weight_size(), 4, 2);
    const auto sums = reference::conv2d_forward(s, x, weight);
    std::vector<std::uint16_t> halves;
    for (const float v : x)
      halves.push_back(static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(v) >> 16));
    const Product product(row_of(s), Precision::bf16, weight, {});
    CHECK(run(product, s, halves, Activation::identity(), s.batch) ==
          std::vector<float>(sums.begin(), sums.end()));
  }
  // 257 takes nine bits: a tie, to 256.
  const Conv2dShape one = as_convolution({.rows = 1, .in = 2, .out = 1});
  const Product product(one, Precision::bf16, std::vector{257.0f, 1.0f}, {});
  const std::vector<std::uint16_t> ones(2, 0x3f80);
  CHECK(run(product, one, ones, Activation::identity(), 1) == std::vector{257.0f});
}
