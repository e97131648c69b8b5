#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>
#include <omp.h>

#include "kernels/convolution.hpp"
#include "kernels/dense.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/reference/values.hpp"
#include "tests/throws_error.hpp"

/// Training products of a processor in bf16. On integers, where nothing is rounded,
/// convolution_devices_test.cpp compares all precisions.
namespace pixeldp::kernels {
namespace {

using reference::same;

bool can_round() {
  const std::string obstacle = product_obstacle(Precision::bf16);
  if (!obstacle.empty()) MESSAGE(obstacle);
  return obstacle.empty();
}

/// To the nearest bf16, ties to even.
std::vector<float> rounded(std::vector<float> values) {
  for (float& value : values) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    value = std::bit_cast<float>((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000);
  }
  return values;
}

std::vector<float> magnitudes(std::vector<float> values) {
  for (float& value : values) value = std::abs(value);
  return values;
}

/// Each value is the reference's but for the rounding of a sum of `terms` terms in fp32, of which
/// `magnitude` is the sum of the absolute values.
void check_sums(const std::vector<float>& values, const std::vector<double>& expected,
                const std::vector<double>& magnitude, std::int64_t terms) {
  REQUIRE(values.size() == expected.size());
  double worst = 0.0;
  for (std::size_t i = 0; i < values.size(); ++i)
    worst = std::max(worst, std::abs(values[i] - expected[i]) / (magnitude[i] + 1e-30));
  CHECK(worst <= 0x1p-24 * static_cast<double>(terms));
}

/// Strided and not, few channels and many.
const std::vector<Conv2dShape> shapes = {same(2, 9, 9, 3, 16, 3, 1), same(2, 8, 8, 16, 32, 3, 2),
                                         same(3, 7, 6, 33, 40, 3, 1), same(2, 14, 14, 32, 64, 5, 2),
                                         same(2, 8, 8, 64, 64, 3, 1)};

struct Results {
  std::vector<float> y, dx, dweight;
  bool operator==(const Results&) const = default;
};

Results conv2d(const Conv2dShape& s, Precision p, const std::vector<float>& x,
               const std::vector<float>& weight, const std::vector<float>& dy) {
  const Stream stream;
  Results r{std::vector<float>(dy.size()), std::vector<float>(x.size()),
            std::vector<float>(weight.size())};
  conv2d_forward(stream, s, p, x.data(), weight.data(), r.y.data());
  conv2d_backward_data(stream, s, p, dy.data(), weight.data(), r.dx.data());
  conv2d_backward_weight(stream, s, p, x.data(), dy.data(), r.dweight.data());
  return r;
}

struct ConvolutionData {
  explicit ConvolutionData(const Conv2dShape& s)
      : x(reference::reals(s.batch * s.in_h * s.in_w * s.in_c, 1)),
        weight(reference::reals(s.weight_size(), 2)),
        dy(reference::reals(s.batch * s.out_h() * s.out_w() * s.out_c, 3)) {}
  std::vector<float> x, weight, dy;
};

TEST_CASE("a processor's convolutions in bf16 sum the products of rounded operands in fp32") {
  if (!can_round()) return;
  for (const Conv2dShape& s : shapes) {
    CAPTURE(s.in_c);
    CAPTURE(s.stride);
    const ConvolutionData d(s);
    const Results in_fp32 = conv2d(s, Precision::fp32, d.x, d.weight, d.dy);
    const Results in_bf16 = conv2d(s, Precision::bf16, d.x, d.weight, d.dy);
    const auto x = rounded(d.x), weight = rounded(d.weight), dy = rounded(d.dy);
    check_sums(in_bf16.y, reference::conv2d_forward(s, x, weight),
               reference::conv2d_forward(s, magnitudes(x), magnitudes(weight)),
               s.weight_size() / s.out_c);
    check_sums(in_bf16.dx, reference::conv2d_backward_data(s, dy, weight),
               reference::conv2d_backward_data(s, magnitudes(dy), magnitudes(weight)),
               s.weight_size() / s.in_c);
    CHECK(in_bf16.y != in_fp32.y);
    CHECK(in_bf16.dx != in_fp32.dx);
    const std::int64_t terms = s.batch * s.out_h() * s.out_w();
    if (s.stride > 1 || s.in_c < 32) {  // not rounded
      CHECK(in_bf16.dweight == in_fp32.dweight);
    } else {
      check_sums(in_bf16.dweight, reference::conv2d_backward_weight(s, x, dy),
                 reference::conv2d_backward_weight(s, magnitudes(x), magnitudes(dy)), terms);
      CHECK(in_bf16.dweight != in_fp32.dweight);
    }
  }
}

TEST_CASE("a processor rounds operands to the nearest bf16, ties to even") {
  if (!can_round()) return;
  const Stream stream;
  // Of 1 x 1 images: products with 1 are the rounded values.
  const std::vector<float> values = {1.0f + 0x1p-8f, 1.0f + 0x3p-8f, 1.0f + 0x1.01p-8f, -1.0f / 3},
                           nearest = {1.0f, 1.0f + 0x4p-8f, 1.0f + 0x2p-8f, -0x1.56p-2f};
  CHECK(rounded(values) == nearest);
  const std::vector<float> one = {1.0f}, zero = {0.0f};
  std::vector<float> y(values.size());
  conv2d_forward(stream, same(4, 1, 1, 1, 1, 1, 1), Precision::bf16, values.data(), one.data(),
                 y.data());
  CHECK(y == nearest);
  conv2d_forward(stream, same(1, 1, 1, 1, 4, 1, 1), Precision::bf16, one.data(), values.data(),
                 y.data());
  CHECK(y == nearest);
  dense_forward(stream, {4, 1, 1}, Precision::bf16, values.data(), one.data(), zero.data(),
                y.data());
  CHECK(y == nearest);
}

TEST_CASE("a processor's dense layers in bf16 sum the products of rounded operands in fp32") {
  if (!can_round()) return;
  const Stream stream;
  for (const DenseShape s : {DenseShape{3, 5, 7}, {17, 129, 33}, {64, 300, 10}, {128, 784, 64}}) {
    CAPTURE(s.in);
    const Conv2dShape conv = {s.rows, 1, 1, s.in, s.out, 1, 1, 1, {}, {}};
    const ConvolutionData d(conv);
    const auto bias = reference::reals(s.out, 4);
    struct {
      std::vector<float> y, dx, dweight, dbias;
    } all[2];
    for (const Precision p : {Precision::fp32, Precision::bf16}) {
      auto& r = all[p == Precision::bf16];
      r = {std::vector<float>(d.dy.size()), std::vector<float>(d.x.size()),
           std::vector<float>(d.weight.size()), std::vector<float>(bias.size())};
      dense_forward(stream, s, p, d.x.data(), d.weight.data(), bias.data(), r.y.data());
      dense_backward_data(stream, s, p, d.dy.data(), d.weight.data(), r.dx.data());
      dense_backward_weight(stream, s, p, d.x.data(), d.dy.data(), r.dweight.data(),
                            r.dbias.data());
    }
    const auto x = rounded(d.x), weight = rounded(d.weight), dy = rounded(d.dy);
    auto y = reference::conv2d_forward(conv, x, weight);
    auto size = reference::conv2d_forward(conv, magnitudes(x), magnitudes(weight));
    for (std::size_t i = 0; i < y.size(); ++i) {
      y[i] += bias[i % bias.size()];
      size[i] += std::abs(bias[i % bias.size()]);
    }
    check_sums(all[1].y, y, size, s.in + 1);
    check_sums(all[1].dx, reference::conv2d_backward_data(conv, dy, weight),
               reference::conv2d_backward_data(conv, magnitudes(dy), magnitudes(weight)), s.out);
    check_sums(all[1].dweight, reference::conv2d_backward_weight(conv, x, dy),
               reference::conv2d_backward_weight(conv, magnitudes(x), magnitudes(dy)), s.rows);
    CHECK(all[1].y != all[0].y);
    CHECK(all[1].dx != all[0].dx);
    CHECK(all[1].dweight != all[0].dweight);
    CHECK(all[1].dbias == all[0].dbias);  // no product
  }
}

TEST_CASE("a processor's products in bf16 have the same bits every time on as many threads") {
  if (!can_round()) return;
  for (const int threads : {1, 2, 3}) {
    CAPTURE(threads);
    const int before = omp_get_max_threads();
    omp_set_num_threads(threads);
    for (const Conv2dShape& s : shapes) {
      const ConvolutionData d(s);
      const Results first = conv2d(s, Precision::bf16, d.x, d.weight, d.dy);
      // What other shapes left in memory that is used again does not show.
      conv2d(same(3, 10, 10, 40, 48, 3, 1), Precision::bf16, std::vector<float>(12000, NAN),
             std::vector<float>(17280, NAN), std::vector<float>(14400, NAN));
      CHECK(conv2d(s, Precision::bf16, d.x, d.weight, d.dy) == first);
    }
    omp_set_num_threads(before);
  }
}

TEST_CASE("a processor trains in no precision that it has not") {
  CpuFeatures features{.avx2 = true, .avx512 = true};
  CHECK(product_obstacle(Precision::bf16, features).find("AVX-512 BF16") != std::string::npos);
  CHECK(product_obstacle(Precision::tf32, features).empty());
  features.bf16 = true;
  CHECK(product_obstacle(Precision::bf16, features).empty());
  const float x = 1.0f;
  float y = 0.0f;
  CHECK_FAILS(conv2d_forward(Stream(), same(1, 1, 1, 1, 1, 1, 1), Precision::int8, &x, &x, &y),
              "multiply in fp32");
}

}  // namespace
}  // namespace pixeldp::kernels
