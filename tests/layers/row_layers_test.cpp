#include "layers/row_layers.hpp"

#include <doctest/doctest.h>

#include "layers/affine.hpp"
#include "layers/convolution.hpp"
#include "tests/layers/finite_differences.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;
using namespace pixeldp::layers;
using namespace pixeldp::tests;

TEST_CASE("finite differences confirm the backward of convolutions of every kind") {
  for (const kernels::GroupedConv2dShape& shape : {kernels::GroupedConv2dShape{.in_h = 7,
                                                  .in_w = 6,
                                                  .in_c = 6,
                                                  .out_c = 4,
                                                  .kernel_h = 3,
                                                  .kernel_w = 5,
                                                  .stride_h = 2,
                                                  .stride_w = 2,
                                                  .pad_h = {1, 0},
                                                  .pad_w = {2, 3}},
                                                   kernels::GroupedConv2dShape{.in_h = 7,
                                                   .in_w = 6,
                                                   .in_c = 6,
                                                   .out_c = 6,
                                                   .groups = 6,
                                                   .kernel_h = 3,
                                                   .kernel_w = 3,
                                                   .stride_h = 2,
                                                   .pad_h = {0, 2},
                                                   .pad_w = {1, 1}},
                                                   kernels::GroupedConv2dShape{.in_h = 5,
                                                   .in_w = 6,
                                                   .in_c = 6,
                                                   .out_c = 12,
                                                   .groups = 3,
                                                   .kernel_h = 2,
                                                   .kernel_w = 3,
                                                   .stride_w = 2,
                                                   .pad_h = {1, 0},
                                                   .pad_w = {}},
                                                   kernels::GroupedConv2dShape{.in_h = 8,
                                                   .in_w = 9,
                                                   .in_c = 6,
                                                   .out_c = 5,
                                                   .kernel_h = 3,
                                                   .kernel_w = 2,
                                                   .dilation_h = 2,
                                                   .dilation_w = 3,
                                                   .pad_h = {2, 1},
                                                   .pad_w = {0, 2}}}) {
    CAPTURE(describe(shape));
    for (const Mode mode : {Mode::training, Mode::inference}) {
      Convolution conv("conv", shape);
      check_layer(conv, {2, shape.in_h, shape.in_w, shape.in_c}, mode);
    }
  }
}

TEST_CASE("finite differences confirm the backward of affine layers, by channel and by value") {
  for (const Mode mode : {Mode::training, Mode::inference}) {
    for (const float slope : {1.0f, 0.1f}) {
      Affine by_channel("affine", {.channels = 3, .activation = {slope}}),
          by_value("affine", {.channels = 24, .activation = {slope}});
      check_layer(by_channel, {4, 2, 4, 3}, mode);
      check_layer(by_value, {4, 2, 4, 3}, mode);
    }
  }
  Affine frozen("affine", {.channels = 3});
  static_cast<Layer&>(frozen).parameters()[0]->frozen = true;
  LayerObjective objective(frozen, {{4, 3}}, Mode::training);
  objective.backward();
  CHECK(frozen.parameters()[0]->gradient.empty());
  CHECK(!frozen.parameters()[1]->gradient.empty());
}

TEST_CASE("finite differences confirm the backward of pooling over windows") {
  using Kind = kernels::WindowPoolShape::Kind;
  for (const Kind kind : {Kind::max, Kind::average})
    for (const bool count_padding : {false, true}) {
      WindowPool pool("pool", {.kind = kind,
                               .in_h = 6,
                               .in_w = 7,
                               .channels = 3,
                               .out_h = 3,
                               .out_w = 4,
                               .kernel_h = 3,
                               .kernel_w = 2,
                               .stride_h = 2,
                               .stride_w = 2,
                               .pad_h = {1, 0},
                               .pad_w = {0, 1},
                               .count_padding = count_padding});
      LayerObjective objective(pool, {{2, 6, 7, 3}}, Mode::training);
      // No two values are so near that the step exchanges them.
      const auto x = objective.x[0].values();
      for (std::size_t i = 0; i < x.size(); ++i)
        x[i] = 0.05f * static_cast<float>(i * 101 % x.size());
      objective.backward();
      check_gradient(x, objective.dx[0].values(), [&] { return objective(false); });
    }
}

TEST_CASE("finite differences confirm the backward of functions, products and rearrangements") {
  using Kind = kernels::PointwiseFunction::Kind;
  for (const kernels::PointwiseFunction& function :
       {kernels::PointwiseFunction{Kind::sigmoid}, kernels::PointwiseFunction{Kind::tanh},
        kernels::PointwiseFunction{Kind::elu, 0.7f}, kernels::PointwiseFunction{Kind::hard_swish},
        kernels::PointwiseFunction{Kind::hard_sigmoid, 0.2f, 0.5f}}) {
    Pointwise pointwise("function", function);
    check_layer(pointwise, {2, 3, 4, 5});
  }
  Multiply multiply("multiply");
  check_layer(multiply, {2, 3, 4, 5});
  check_layer(multiply, {Shape{2, 3, 4, 5}, Shape{2, 5}});
  Concatenate concatenate("concatenate", 3);
  check_layer(concatenate, {Shape{2, 3, 4, 5}, Shape{2, 3, 4, 1}, Shape{2, 3, 4, 2}});
  check_layer(concatenate, {Shape{2, 5}, Shape{2, 1}, Shape{2, 2}});
  Select select("select", {.map = {.in_pixels = 6,
                                   .in_channels = 3,
                                   .pixels = {5, -1, 0, 0},
                                   .channels = {2, 1},
                                   .fill = 0.5f},
                           .height = 2,
                           .width = 2});
  check_layer(select, {2, 3, 2, 3});
  Softmax softmax("softmax", 4);
  check_layer(softmax, {3, 2, 2, 4});
  for (const std::int64_t window : {2, 3, 5}) {
    LocalResponse response("response",
                           {.window = window, .alpha = 0.9f, .beta = 0.75f, .bias = 0.8f});
    check_layer(response, {3, 2, 2, 4});
  }
}

TEST_CASE("a clamp passes gradients strictly between its limits") {
  Pointwise clamp("clamp", {.kind = kernels::PointwiseFunction::Kind::clamp, .a = 0, .b = 6});
  Tensor x(Shape{1, 5}), y, dx, dy(Shape{1, 5});
  const float values[] = {-1.0f, 0.0f, 3.0f, 6.0f, 7.0f};
  std::copy(std::begin(values), std::end(values), x.data());
  dy.fill(2.0f);
  const Stream stream;
  const Pass pass{stream, Mode::training, {}};
  Saved saved;
  const Tensor* const inputs[] = {&x};
  Tensor* const gradients[] = {&dx};
  clamp.forward(pass, inputs, y, saved);
  clamp.backward(pass, inputs, y, saved, dy, gradients);
  CHECK(std::vector(y.data(), y.data() + 5) == std::vector<float>{0, 0, 3, 6, 6});
  CHECK(std::vector(dx.data(), dx.data() + 5) == std::vector<float>{0, 0, 2, 0, 0});
}

TEST_CASE("layers of imported networks refuse what does not fit them, by name") {
  const Shape image{1, 4, 4, 3}, other{1, 4, 5, 3}, row{1, 48};
  const auto refused = [](const Layer& layer, std::vector<Shape> x, const char* part) {
    CHECK_FAILS(layer.output_shape(x), part);
  };
  refused(
      Convolution("stem", {.in_h = 4, .in_w = 4, .in_c = 1, .out_c = 2, .pad_h = {}, .pad_w = {}}),
      {image}, "layer stem takes images of 4x4x1, not 1x4x4x3");
  refused(Affine("norm", {.channels = 4}), {image}, "layer norm takes 4 channels");
  refused(Multiply("gate"), {image, row.with_rows(2)}, "layer gate multiplies");
  refused(Concatenate("join", 2), {image, other}, "layer join puts");
  refused(Select("cut", {.map = {.in_pixels = 4, .in_channels = 3}}), {image},
          "layer cut takes rows of 12 values");
  refused(Softmax("soft", 5), {image}, "layer soft takes groups of 5 values");
  CHECK_FAILS(
      Convolution(
          "stem",
          {.in_h = 4, .in_w = 4, .in_c = 3, .out_c = 4, .groups = 2, .pad_h = {}, .pad_w = {}}),
      "the groups do not divide the channels");
  CHECK_FAILS(
      Convolution(
          "stem",
          {.in_h = 4, .in_w = 4, .in_c = 3, .out_c = 4, .kernel_h = 5, .pad_h = {}, .pad_w = {}}),
      "the kernel is larger than the padded image");
}

TEST_CASE("plain convolutions and affine layers are the same on devices, which refuse the rest") {
  const Stream host, device(Device::parse("emulated"));
  const kernels::GroupedConv2dShape plain{.in_h = 6,
                                          .in_w = 5,
                                          .in_c = 3,
                                          .out_c = 4,
                                          .kernel_h = 3,
                                          .kernel_w = 2,
                                          .pad_h = {1, 0},
                                          .pad_w = {0, 1}};
  Convolution conv("conv", plain);
  Affine affine("affine", {.channels = 4, .activation = kernels::Activation::relu()});
  const Tensor x = random_tensor({2, 6, 5, 3}, 1);
  const auto results = [&](const Stream& stream) {
    for (Layer* layer : {static_cast<Layer*>(&conv), static_cast<Layer*>(&affine)})
      for (Parameter* p : layer->parameters())
        p->value = random_tensor(p->value.shape(), 7).to(stream, stream.device());
    const Pass pass{stream, Mode::training, {}};
    const Tensor at = x.to(stream, stream.device());
    Tensor sums, y, dx, dsums;
    Saved of_conv, of_affine;
    const Tensor *const image[] = {&at}, *const middle[] = {&sums};
    conv.forward(pass, image, sums, of_conv);
    affine.forward(pass, middle, y, of_affine);
    dsums = random_tensor(y.shape(), 8).to(stream, stream.device());
    affine.backward(pass, middle, y, of_affine, dsums, {});
    Tensor* const gradients[] = {&dx};
    conv.backward(pass, image, sums, of_conv, dsums, gradients);
    std::vector<std::vector<float>> all = {host_values(stream, y), host_values(stream, dx)};
    for (Layer* layer : {static_cast<Layer*>(&conv), static_cast<Layer*>(&affine)})
      for (Parameter* p : layer->parameters()) all.push_back(host_values(stream, p->gradient));
    return all;
  };
  const auto expected = results(host), made = results(device);
  REQUIRE(made.size() == 5);
  for (std::size_t k = 0; k < made.size(); ++k)
    for (std::size_t i = 0; i < made[k].size(); ++i)  // gradients multiply in tf32
      CHECK(std::abs(made[k][i] - expected[k][i]) <= (k == 0 ? 1e-5 : 0.02));

  kernels::GroupedConv2dShape depthwise = plain;
  depthwise.groups = depthwise.out_c = 3;
  Convolution grouped("conv", depthwise);
  const Pass pass{device, Mode::training, {}};
  const Tensor at = x.to(device, device.device());
  const Tensor* const image[] = {&at};
  Tensor y;
  Saved saved;
  CHECK_FAILS(grouped.forward(pass, image, y, saved), "has no kernel for convolution 6x5x3");
  Softmax softmax("softmax", 3);
  CHECK_FAILS(softmax.forward(pass, image, y, saved),
              "the device emulated has no kernel for softmax yet");
}
