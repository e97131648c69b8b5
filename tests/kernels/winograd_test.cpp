#include "kernels/cpu/winograd.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

#include <doctest/doctest.h>
#include <omp.h>

#include "kernels/inference.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/reference/plan.hpp"
#include "tests/reference/values.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;
using namespace pixeldp::kernels;
using namespace pixeldp::kernels::cpu;
using reference::same, reference::with_padding;
using reference::x_size, reference::y_size;

namespace {

// Tiles that are cut off below and at the side; several blocks of tiles, and rows that share one;
// padding on one side alone, and wider than the kernel; one, two, three groups of outputs; more
// channels than a panel has; a stride of 2.
const std::vector<Conv2dShape> shapes = {
    same(2, 8, 8, 16, 16, 3, 1),
    same(3, 7, 6, 32, 48, 3, 1),
    same(1, 37, 30, 16, 32, 3, 1),
    same(19, 8, 8, 16, 32, 3, 1),
    same(2, 4, 4, 336, 16, 3, 1),
    same(3, 14, 14, 32, 64, 5, 2),
    with_padding({2, 9, 8, 16, 16, 5, 5, 2, {}, {}}, {2, 2}, {1, 2}),
    with_padding({2, 6, 6, 16, 16, 3, 3, 1, {}, {}}, {0, 0}, {4, 1})};

Conv2dShape row_of(Conv2dShape s) {
  s.batch = 1;
  return s;
}

struct Results {
  std::vector<float> real;
  std::vector<std::uint8_t> bytes;
  bool operator==(const Results&) const = default;
};

/// In runs of `rows` rows.
template <class T>
Results run(const PreparedProduct& product, const Conv2dShape& s, const std::vector<T>& x,
            std::int64_t rows, const std::vector<float>& residual, Activation activation = {0.1f}) {
  const auto size = static_cast<std::size_t>(y_size(s));
  Results y{std::vector<float>(size, NAN), std::vector<std::uint8_t>(size)};
  std::vector<std::byte> scratch(static_cast<std::size_t>(product.scratch_size(rows)));
  for (std::int64_t first = 0; first < s.batch; first += rows) {
    const std::int64_t at = first * y_size(row_of(s));
    product.run(std::min(rows, s.batch - first), x.data() + first * x_size(row_of(s)),
                {.activation = activation,
                 .target = {.real = y.real.data() + at,
                            .bytes = y.bytes.data() + at,
                            .inverse_scale = 20.0f},
                 .residual = residual.empty() ? nullptr : residual.data() + at},
                scratch.data());
  }
  return y;
}

template <class F>
void for_each_set(F f) {
  for (const InstructionSet set : instruction_sets) {
    if (!supported(set)) continue;
    CAPTURE(name(set));
    f(set);
  }
}

std::vector<float> normals(std::int64_t count, float scale, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& v : values) v = normal(random);
  return values;
}

std::vector<float> floats(const std::vector<std::uint16_t>& halves) {
  std::vector<float> values;
  for (const std::uint16_t half : halves)
    values.push_back(std::bit_cast<float>(std::uint32_t{half} << 16));
  return values;
}

/// A wide convolution with a residual and one of stride 2, 5x5, after narrow ones and one that is
/// multiplied directly.
InferencePlan plan_with_winograd() {
  const auto convolution = [](const Conv2dShape& shape, std::vector<int> inputs, const char* name,
                              std::uint64_t seed) -> InferenceStep {
    return {.name = name,
            .inputs = std::move(inputs),
            .activation = {0.1f},
            .convolution = shape,
            .weight = normals(shape.weight_size(), 0.1f, seed),
            .scale = reference::reals(shape.out_c, seed + 1),
            .shift = reference::reals(shape.out_c, seed + 2)};
  };
  InferencePlan plan(14 * 14 * 3);
  const int a = plan.add(convolution(same(1, 14, 14, 3, 16, 3, 1), {0}, "direct", 1));
  const int b = plan.add(convolution(same(1, 14, 14, 16, 32, 3, 1), {a}, "conv1", 4));
  const int c = plan.add(convolution(same(1, 14, 14, 32, 64, 3, 1), {b}, "conv2", 7));
  const int wide = plan.add(convolution(same(1, 14, 14, 64, 64, 3, 1), {c, c}, "wide", 16));
  const int d = plan.add(convolution(same(1, 14, 14, 64, 16, 5, 2), {wide}, "strided", 10));
  InferenceStep dense = reference::dense_step(normals(10 * 7 * 7 * 16, 0.1f, 13),
                                              reference::reals(10, 14), Activation::identity());
  dense.inputs = {d};
  plan.add(dense);
  return plan;
}

std::vector<float> evaluate(const Inference& inference, const InferencePlan& plan,
                            const std::vector<float>& x, const InferenceObserver& observe = {}) {
  const auto rows = static_cast<std::int64_t>(x.size()) / plan.sizes.front();
  std::vector<float> y(static_cast<std::size_t>(rows * plan.sizes.back()));
  Memory workspace({}, static_cast<std::size_t>(inference.workspace_size()));
  std::memset(workspace.data(), 0x5a, static_cast<std::size_t>(inference.workspace_size()));
  inference.run(rows, x.data(), y.data(), workspace.data(), observe);
  return y;
}

}  // namespace

TEST_CASE("the shape of a convolution alone decides whether it is Winograd's") {
  for (const Conv2dShape& shape : shapes) CHECK(takes_winograd(shape));
  CHECK(takes_winograd(same(1, 32, 32, 160, 160, 3, 1)));
  CHECK(!takes_winograd(same(1, 32, 32, 16, 160, 3, 2)));
  CHECK(!takes_winograd(same(1, 32, 32, 3, 16, 3, 1)));
  CHECK(!takes_winograd(same(1, 32, 32, 16, 24, 3, 1)));
  CHECK(!takes_winograd(same(1, 32, 32, 16, 16, 1, 1)));
  CHECK(!takes_winograd(same(1, 32, 32, 16, 16, 5, 1)));
  CHECK(!takes_winograd(same(1, 5, 5, 16, 16, 3, 1)));  // 25 of 64
  CHECK(takes_winograd(same(1, 6, 6, 16, 16, 3, 1)));   // 36
  CHECK(takes_winograd(plan_with_winograd()));
  CHECK(!takes_winograd(InferencePlan(3)));
  CHECK_FAILS(Winograd(same(1, 5, 5, 16, 16, 3, 1), Precision::fp32, std::vector<float>(2304), {}),
              "5x5");
  // In bf16 only what is wide.
  CHECK(takes_winograd(same(1, 6, 6, 64, 16, 3, 1), Precision::bf16));
  CHECK(!takes_winograd(same(1, 6, 6, 48, 128, 3, 1), Precision::bf16));
  CHECK(!takes_winograd(same(1, 14, 14, 64, 64, 5, 2), Precision::bf16));
  CHECK(takes_winograd(plan_with_winograd(), Precision::bf16));
}

TEST_CASE("Winograd's convolutions have the same bits for all instruction sets and rows") {
  for (const Conv2dShape& s : shapes) {
    CAPTURE(describe(s));
    const auto x = reference::reals(x_size(s), 1), weight = reference::reals(s.weight_size(), 2),
               shift = reference::reals(s.out_c, 3), residual = reference::reals(y_size(s), 4);
    Results first;
    for_each_set([&](InstructionSet set) {
      const Winograd product(row_of(s), Precision::fp32, weight, shift, set);
      const Results all = run(product, s, x, s.batch, residual);
      if (first.real.empty()) first = all;
      CHECK(all == first);
      CHECK(run(product, s, x, 1, residual) == first);
      CHECK(run(product, s, x, 2, residual) == first);
    });
  }
}

TEST_CASE("Winograd's convolutions stay within 6e-5 of the rms of exact results") {
  std::vector<Conv2dShape> all = shapes;
  all.push_back(same(1, 16, 16, 160, 160, 3, 1));
  all.push_back(same(1, 8, 8, 640, 32, 3, 1));
  for (const Conv2dShape& s : all) {
    CAPTURE(describe(s));
    auto x = normals(x_size(s), 1.0f, 1);
    for (float& v : x) v = std::max(v, 0.0f);
    const auto weight = normals(s.weight_size(), 0.05f, 2), shift = normals(s.out_c, 0.1f, 3),
               residual = normals(y_size(s), 1.0f, 4);
    const Winograd product(row_of(s), Precision::fp32, weight, shift);
    const Results y = run(product, s, x, s.batch, residual, Activation::relu());
    auto exact = reference::conv2d_forward(s, x, weight);
    double squares = 0.0, worst = 0.0;
    for (std::size_t i = 0; i < exact.size(); ++i) {
      exact[i] += shift[i % static_cast<std::size_t>(s.out_c)] + residual[i];
      exact[i] = std::max(exact[i], 0.0);
      squares += exact[i] * exact[i];
      worst = std::max(worst, std::abs(exact[i] - y.real[i]));
    }
    CHECK(worst < 6e-5 * std::sqrt(squares / static_cast<double>(exact.size())));
  }
}

TEST_CASE("Winograd's convolutions of bf16 have the bits of fp32's, rounded at the end") {
  for (const Conv2dShape& s : shapes) {
    CAPTURE(describe(s));
    const auto x = rounded_to_bf16(reference::reals(x_size(s), 1)),
               residual = rounded_to_bf16(reference::reals(y_size(s), 4));
    const auto weight = reference::reals(s.weight_size(), 2), shift = reference::reals(s.out_c, 3);
    const std::vector<float> real_residual = floats(residual);
    for_each_set([&](InstructionSet set) {
      const Winograd real(row_of(s), Precision::fp32, floats(rounded_to_bf16(weight)), shift, set),
          half(row_of(s), Precision::bf16, weight, shift, set);
      const Results expected = run(real, s, floats(x), s.batch, real_residual);
      CHECK(run(half, s, x, s.batch, real_residual).real == expected.real);
      for (const std::int64_t rows : {std::int64_t{1}, s.batch}) {
        std::vector<std::uint16_t> y(residual.size());
        std::vector<std::byte> scratch(static_cast<std::size_t>(half.scratch_size(rows)));
        for (std::int64_t first = 0; first < s.batch; first += rows) {
          const std::int64_t at = first * y_size(row_of(s));
          half.run(rows, x.data() + first * x_size(row_of(s)),
                   {.activation = {0.1f},
                    .kind = Real::bf16,
                    .target = {.real = y.data() + at},
                    .residual = residual.data() + at},
                   scratch.data());
        }
        CHECK(y == rounded_to_bf16(expected.real));
      }
      CHECK_FAILS(real.run(1, x.data(), {.kind = Real::bf16}, nullptr), "are fp32");
    });
  }
  CHECK_FAILS(Winograd(shapes[0], Precision::tf32, {}, {}), "fp32, bf16 or int8");
}

TEST_CASE("in training tf32 lets a processor multiply by Winograd's algorithm, on any threads") {
  for (const Conv2dShape& s : {same(5, 8, 8, 32, 48, 3, 1), same(1, 15, 14, 48, 32, 3, 1),
                               with_padding({2, 8, 12, 16, 16, 3, 3, 1, {}, {}}, {0, 2}, {1, 0})}) {
    CAPTURE(describe(s));
    REQUIRE(takes_winograd(s));
    const auto x = normals(x_size(s), 1.0f, 1), weight = normals(s.weight_size(), 0.05f, 2),
               dy = normals(y_size(s), 1.0f, 3);
    std::vector<float> y(dy.size()), dx(x.size());
    const auto go = [&](Precision precision, std::vector<float>& forward,
                        std::vector<float>& backward) {
      conv2d_forward(Stream(), s, precision, x.data(), weight.data(), forward.data());
      conv2d_backward_data(Stream(), s, precision, dy.data(), weight.data(), backward.data());
    };
    const auto within = [](const std::vector<float>& values, const std::vector<double>& exact) {
      double squares = 0.0, worst = 0.0;
      for (std::size_t i = 0; i < exact.size(); ++i) {
        squares += exact[i] * exact[i];
        worst = std::max(worst, std::abs(exact[i] - values[i]));
      }
      return worst < 6e-5 * std::sqrt(squares / static_cast<double>(exact.size()));
    };
    go(Precision::tf32, y, dx);
    CHECK(within(y, reference::conv2d_forward(s, x, weight)));
    CHECK(within(dx, reference::conv2d_backward_data(s, dy, weight)));
    std::vector<float> other_y(y.size()), other_dx(dx.size());
    go(Precision::fp32, other_y, other_dx);
    CHECK(other_y != y);
    CHECK(other_dx != dx);
    const int threads = omp_get_max_threads();
    omp_set_num_threads(threads + 1);
    go(Precision::tf32, other_y, other_dx);
    omp_set_num_threads(threads);
    CHECK(other_y == y);
    CHECK(other_dx == dx);
  }
}

TEST_CASE("Winograd's convolutions of bytes have the bits of direct ones") {
  std::vector<Conv2dShape> all = shapes;
  all[4].in_c = 224;  // the most channels whose weights may all be 127
  for (const Conv2dShape& s : all) {
    CAPTURE(describe(s));
    auto x = reference::integers(x_size(s), 127, 1),
         weight = reference::integers(s.weight_size(), 127, 2);
    // The largest sums of either sign, and the largest values of both transforms.
    const std::int64_t taps = s.weight_size() / s.out_c;
    std::fill_n(weight.begin(), taps, 127.0f);
    std::fill_n(weight.begin() + taps, taps, -127.0f);
    for (std::int64_t i = 0; i < taps; ++i)
      weight[static_cast<std::size_t>(2 * taps + i)] =
          (i / s.kernel_w + i % s.kernel_w) % 2 == 0 ? 127.0f : -127.0f;
    std::fill_n(x.begin(), x_size(row_of(s)), -127.0f);
    const auto sign = [&](std::int64_t place) { return place / s.stride % 4 < 2 ? -1.0f : 1.0f; };
    for (std::int64_t i = x_size(s) - x_size(row_of(s)) / 2; i < x_size(s); ++i) {
      const std::int64_t pixel = i / s.in_c % (s.in_h * s.in_w);
      x[static_cast<std::size_t>(i)] = 127.0f * sign(pixel / s.in_w) * sign(pixel % s.in_w);
    }
    const std::vector<std::int8_t> small(weight.begin(), weight.end());
    std::vector<std::uint8_t> bytes;
    for (const float v : x) bytes.push_back(static_cast<std::uint8_t>(v + zero_byte));
    const auto scale = reference::reals(s.out_c, 3), shift = reference::reals(s.out_c, 4),
               residual = reference::reals(y_size(s), 5);
    REQUIRE(Winograd::exact(small, s.out_c));
    const Results expected =
        run(Product(row_of(s), small, scale, shift), s, bytes, s.batch, residual);
    for_each_set([&](InstructionSet set) {
      const Winograd product(row_of(s), small, scale, shift, set);
      CHECK(run(product, s, bytes, s.batch, residual) == expected);
      CHECK(run(product, s, bytes, 2, residual) == expected);
      CHECK(run(product, s, bytes, s.batch, {}) ==
            run(Product(row_of(s), small, scale, shift), s, bytes, s.batch, {}));
    });
  }
}

TEST_CASE("where sums could be too large for Winograd's algorithm, bytes are multiplied directly") {
  std::vector<std::int8_t> weight(4 * 262'143);
  std::fill_n(weight.begin() + 262'143, 262'143, std::int8_t{-1});
  CHECK(Winograd::exact(weight, 4));
  weight[3 * 262'143 - 1] = weight[262'143 - 1] = 127;  // of other outputs
  CHECK(Winograd::exact(weight, 4));
  weight[2 * 262'143 - 1] = 2;
  CHECK(!Winograd::exact(weight, 4));

  const Conv2dShape s = same(1, 4, 4, 240, 16, 3, 1);
  const std::vector<std::int8_t> large(static_cast<std::size_t>(s.weight_size()), 127);
  const std::vector<float> ones(16, 1.0f);
  CHECK_FAILS(Winograd(s, large, ones, {}), "too large");
  const InferencePlan plan = reference::plan_of(
      x_size(s), {reference::convolution_step(s, std::vector<float>(large.begin(), large.end()),
                                              Activation::identity())});
  const std::vector<float> x(static_cast<std::size_t>(x_size(s)), -127.0f);
  const auto direct = prepare_inference(plan, Precision::int8, std::vector{1.0f}),
             other =
                 prepare_inference(plan, Precision::int8, std::vector{1.0f}, Algorithm::winograd);
  const auto y = evaluate(*other, plan, x);
  CHECK(y == evaluate(*direct, plan, x));
  CHECK(y[5 * 16] == -2160.0f * 127 * 127);
}

TEST_CASE("a plan by Winograd's algorithm: near in fp32 and bf16, the same in int8") {
  const InferencePlan plan = plan_with_winograd();
  const auto x = reference::reals(70 * plan.sizes.front(), 20);
  std::vector<float> scales(plan.steps.size());
  const auto direct = prepare_inference(plan, Precision::fp32),
             winograd = prepare_inference(plan, Precision::fp32, {}, Algorithm::winograd);
  const auto exact = evaluate(*direct, plan, x, [&](std::size_t step, std::span<const float> seen) {
    for (const float v : seen) scales[step] = std::max(scales[step], std::abs(v) / 127.0f);
  });
  // What is observed is what a step reads.
  std::vector<float> first;
  std::size_t observed = 0;
  const auto y = evaluate(*winograd, plan, x, [&](std::size_t step, std::span<const float> seen) {
    if (step == 0) first.insert(first.end(), seen.begin(), seen.end());
    const float most =
        std::abs(*std::ranges::max_element(seen, {}, [](float v) { return std::abs(v); }));
    CHECK(most <= 127.001f * scales[step]);
    observed += seen.size();
  });
  CHECK(first == x);
  CHECK(observed == 70 * static_cast<std::size_t>(std::accumulate(
                             plan.sizes.begin(), plan.sizes.end() - 1, std::int64_t{0})));
  CHECK(y != exact);
  const double most = std::abs(*std::ranges::max_element(exact));
  for (std::size_t i = 0; i < y.size(); ++i) CHECK(std::abs(y[i] - exact[i]) < 1e-4 * most);
  for (const std::int64_t row : {0, 33, 69}) {
    const auto in = plan.sizes.front(), out = plan.sizes.back();
    const auto alone =
        evaluate(*winograd, plan, {x.begin() + row * in, x.begin() + (row + 1) * in});
    CHECK(std::equal(alone.begin(), alone.end(), y.begin() + row * out));
  }
  CHECK(evaluate(*prepare_inference(plan, Precision::int8, scales, Algorithm::winograd), plan, x) ==
        evaluate(*prepare_inference(plan, Precision::int8, scales), plan, x));
  if (!inference_obstacle(Precision::bf16).empty()) return;
  const auto half = prepare_inference(plan, Precision::bf16, {}, Algorithm::winograd);
  const auto in_bf16 = evaluate(*half, plan, x),
             directly = evaluate(*prepare_inference(plan, Precision::bf16), plan, x);
  CHECK(in_bf16 != directly);
  double squares = 0.0, from_direct = 0.0, of_direct = 0.0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    squares += std::pow(in_bf16[i] - exact[i], 2);
    of_direct += std::pow(directly[i] - exact[i], 2);
    from_direct = std::max(from_direct, std::abs(double{in_bf16[i]} - double{directly[i]}));
  }
  CHECK(squares < 1.2 * of_direct);  // what is lost is lost by rounding to bf16
  CHECK(from_direct < 0.02 * most);
  CHECK(evaluate(*half, plan, {x.begin(), x.begin() + plan.sizes.front()}) ==
        std::vector<float>(in_bf16.begin(), in_bf16.begin() + plan.sizes.back()));
}

TEST_CASE("the bytes of prepared weights are known before they are prepared") {
  const Conv2dShape s = same(1, 32, 32, 160, 160, 3, 1);
  const InferencePlan plan = reference::plan_of(
      x_size(s),
      {reference::convolution_step(s, std::vector<float>(static_cast<std::size_t>(s.weight_size())),
                                   Activation::identity())});
  CHECK(prepared_weight_bytes(plan, Precision::fp32, Algorithm::direct) == 9 * 160 * 160 * 4);
  CHECK(prepared_weight_bytes(plan, Precision::fp32, Algorithm::winograd) == 36 * 160 * 160 * 4);
  CHECK(prepared_weight_bytes(plan, Precision::bf16, Algorithm::winograd) == 36 * 160 * 160 * 4);
  CHECK(prepared_weight_bytes(plan, Precision::int8, Algorithm::winograd) ==
        (cpu_features().amx ? product_weight_bytes(s, Precision::int8) : 36 * 160 * 160 * 2));
  // Of the four phases of a stride of 2, the last row and column of positions have two and three.
  CHECK(winograd_weight_bytes(same(1, 14, 14, 32, 64, 5, 2), Precision::int8) ==
        (25 * 4 + 5 * 2 + 5 * 3 + 1) * 32 * 64 * 2);
}
