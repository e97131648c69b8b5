#include "kernels/convolution.hpp"

#include <vector>

#include <doctest/doctest.h>

#include "tests/reference/convolution.hpp"
#include "tests/reference/plan.hpp"
#include "tests/reference/values.hpp"

using namespace pixeldp;
using kernels::Conv2dShape;

namespace {

using reference::same;

// The networks' own shapes, and odd ones: one pixel, even kernels, kernels larger than the image,
// channels that fill no vector.
const std::vector<Conv2dShape> shapes = {
    same(2, 28, 28, 1, 32, 5, 2), same(2, 14, 14, 32, 64, 5, 2), same(1, 32, 32, 3, 16, 3, 1),
    same(3, 8, 8, 16, 32, 3, 2),  same(1, 1, 1, 3, 5, 3, 1),     same(2, 7, 5, 3, 7, 4, 2),
    same(1, 3, 3, 2, 3, 5, 1),    same(1, 9, 11, 13, 17, 1, 1),  same(1, 9, 9, 4, 8, 1, 2),
    same(1, 20, 20, 3, 32, 10, 2)};

std::vector<double> widen(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

}  // namespace

TEST_CASE("SAME padding is TensorFlow's, the odd pixel after the image") {
  using kernels::Padding;
  CHECK(kernels::same_padding(28, 5, 2) == Padding{1, 2});
  CHECK(kernels::same_padding(32, 3, 2) == Padding{0, 1});
  CHECK(kernels::same_padding(299, 10, 2) == Padding{4, 5});
  CHECK(kernels::same_padding(150, 8, 2) == Padding{3, 3});
  CHECK(kernels::same_padding(75, 5, 2) == Padding{2, 2});
  CHECK(kernels::same_padding(32, 3, 1) == Padding{1, 1});
  CHECK(kernels::same_padding(4, 1, 2) == Padding{0, 0});
}

TEST_CASE("convolution and both gradients equal their definitions exactly on integers") {
  const Stream stream;
  for (const Conv2dShape& s : shapes) {
    CAPTURE(s.in_h);
    CAPTURE(s.in_c);
    CAPTURE(s.kernel_h);
    const auto x = reference::integers(s.batch * s.in_h * s.in_w * s.in_c, 4, 1);
    const auto weight = reference::integers(s.weight_size(), 4, 2);
    const auto dy = reference::integers(s.batch * s.out_h() * s.out_w() * s.out_c, 4, 3);

    std::vector<float> y(dy.size()), dx(x.size()), dweight(weight.size());
    kernels::conv2d_forward(stream, s, kernels::Precision::fp32, x.data(), weight.data(), y.data());
    CHECK(widen(y) == reference::conv2d_forward(s, x, weight));
    kernels::conv2d_backward_data(stream, s, kernels::Precision::fp32, dy.data(), weight.data(),
                                  dx.data());
    CHECK(widen(dx) == reference::conv2d_backward_data(s, dy, weight));
    kernels::conv2d_backward_weight(stream, s, kernels::Precision::fp32, x.data(), dy.data(),
                                    dweight.data());
    CHECK(widen(dweight) == reference::conv2d_backward_weight(s, x, dy));
  }
}

TEST_CASE("a convolution in a plan is the convolution followed by its activation") {
  const Stream stream;
  for (const Conv2dShape& s : shapes) {
    const auto x = reference::integers(s.batch * s.in_h * s.in_w * s.in_c, 4, 4);
    const auto weight = reference::integers(s.weight_size(), 4, 5);
    for (const float slope : {1.0f, 0.0f, 0.5f}) {
      auto expected = reference::conv2d_forward(s, x, weight);
      for (double& value : expected) value = value > 0 ? value : slope * value;
      std::vector<float> y(expected.size());
      reference::run_plan(stream,
                          reference::plan_of(s.in_h * s.in_w * s.in_c,
                                             {reference::convolution_step(s, weight, {slope})}),
                          kernels::Precision::fp32, s.batch, x.data(), y.data());
      CHECK(widen(y) == expected);
    }
  }
}
