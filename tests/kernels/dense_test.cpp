#include "kernels/dense.hpp"

#include <vector>

#include <doctest/doctest.h>

#include "tests/reference/plan.hpp"
#include "tests/reference/values.hpp"

using namespace pixeldp;
using kernels::DenseShape;

namespace {

const std::vector<DenseShape> shapes = {
    {1, 1, 1}, {3, 5, 7}, {64, 300, 10}, {17, 129, 33}, {128, 784, 64}};

/// c[i, j] = sum over k of f(i, j, k)
template <typename F>
std::vector<float> sums(std::int64_t rows, std::int64_t columns, std::int64_t terms, F f) {
  std::vector<float> result;
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < columns; ++j) {
      double sum = 0.0;
      for (std::int64_t k = 0; k < terms; ++k) sum += f(i, j, k);
      result.push_back(static_cast<float>(sum));
    }
  return result;
}

}  // namespace

TEST_CASE("dense layer and its gradients equal their definitions exactly on integers") {
  const Stream stream;
  for (const DenseShape& s : shapes) {
    CAPTURE(s.in);
    const auto x = reference::integers(s.rows * s.in, 8, 1);
    const auto weight = reference::integers(s.out * s.in, 8, 2);
    const auto bias = reference::integers(s.out, 8, 3);
    const auto dy = reference::integers(s.rows * s.out, 8, 4);

    const auto expected = sums(s.rows, s.out, s.in + 1, [&](auto r, auto o, auto k) {
      return k == s.in ? double{bias[o]} : double{x[r * s.in + k]} * weight[o * s.in + k];
    });
    std::vector<float> y(expected.size());
    kernels::dense_forward(stream, s, kernels::Precision::fp32, x.data(), weight.data(),
                           bias.data(), y.data());
    CHECK(y == expected);

    std::vector<float> dx(x.size()), dweight(weight.size()), dbias(bias.size());
    kernels::dense_backward_data(stream, s, kernels::Precision::fp32, dy.data(), weight.data(),
                                 dx.data());
    CHECK(dx == sums(s.rows, s.in, s.out, [&](auto r, auto i, auto k) {
            return double{dy[r * s.out + k]} * weight[k * s.in + i];
          }));
    kernels::dense_backward_weight(stream, s, kernels::Precision::fp32, x.data(), dy.data(),
                                   dweight.data(), dbias.data());
    CHECK(dweight == sums(s.out, s.in, s.rows, [&](auto o, auto i, auto k) {
            return double{dy[k * s.out + o]} * x[k * s.in + i];
          }));
    CHECK(dbias ==
          sums(s.out, 1, s.rows, [&](auto o, auto, auto k) { return double{dy[k * s.out + o]}; }));

    for (const float slope : {1.0f, 0.0f, 0.5f}) {
      auto activated = expected;
      for (float& value : activated) value = value > 0 ? value : slope * value;
      reference::run_plan(stream,
                          reference::plan_of(s.in, {reference::dense_step(weight, bias, {slope})}),
                          kernels::Precision::fp32, s.rows, x.data(), y.data());
      CHECK(y == activated);
    }
  }
}
