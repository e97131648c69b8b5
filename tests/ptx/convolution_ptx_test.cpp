#include <bit>
#include <type_traits>
#include <vector>

#include <doctest/doctest.h>

#include "tests/ptx/convolution_on_device.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/reference/values.hpp"

/// The convolutions as nvcc compiled them, on a GPU or in an interpreter of PTX, against the
/// emulator, whose results tests/kernels compares with the definitions, and against those.
namespace pixeldp::kernels {
namespace {

using reference::same, reference::with_padding;

std::vector<std::uint16_t> to_bf16(const std::vector<float>& integers) {
  std::vector<std::uint16_t> result;
  for (const float value : integers)
    result.push_back(static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16));
  return result;
}

std::vector<std::uint32_t> bits(const std::vector<float>& values) {
  std::vector<std::uint32_t> result;
  for (const float value : values) result.push_back(std::bit_cast<std::uint32_t>(value));
  return result;
}

TEST_CASE("the compiled direct convolution has the bits of the emulated one") {
  for (const Conv2dShape& s :
       {same(2, 28, 28, 1, 32, 5, 2), same(1, 18, 17, 3, 16, 3, 1), same(1, 20, 20, 3, 32, 10, 2),
        same(1, 7, 5, 3, 7, 4, 2), same(1, 6, 5, 32, 40, 5, 2)}) {
    for (const float slope : {1.0f, 0.0f, 0.1f}) {
      const DirectConvCase conv = {
          s,
          {slope},
          reference::reals(s.batch * s.in_h * s.in_w * s.in_c, 1),
          reference::reals(s.weight_size(), 2),
          slope == 0.0f ? reference::reals(s.out_c, 3) : std::vector<float>()};
      CAPTURE(s.in_h);
      CAPTURE(slope);
      CHECK(bits(cuda::run(conv)) == bits(emulated::run(conv)));
    }
  }
}

/// [pixels, channels] as the kernels read it.
template <class Element>
std::vector<Element> filled(std::int64_t channels, const std::vector<float>& values) {
  const std::vector<float> result = reference::filled(channels, chunk_of<Element>, values);
  if constexpr (std::is_same_v<Element, float>)
    return result;
  else
    return to_bf16(result);
}

std::vector<float> narrow(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

TEST_CASE_TEMPLATE("the compiled tensor-core convolutions are exact on integers", Element,
                   std::uint16_t, float) {
  for (const Conv2dShape& s :
       {same(1, 1, 1, 8, 10, 3, 1), same(5, 3, 4, 16, 24, 3, 1), same(2, 9, 9, 24, 16, 3, 2),
        same(1, 8, 9, 40, 136, 3, 1), same(2, 7, 7, 32, 64, 1, 2)}) {
    const std::int64_t x_size = s.batch * s.in_h * s.in_w * s.in_c,
                       y_size = s.batch * s.out_h() * s.out_w() * s.out_c;
    const auto x = reference::integers(x_size, 4, 3);
    const auto weight = reference::integers(s.weight_size(), 4, 4);
    const auto dy = reference::integers(y_size, 4, 5);
    const auto y = narrow(reference::conv2d_forward(s, x, weight));
    const auto dx = narrow(reference::conv2d_backward_data(s, dy, weight));
    for (const ConvTile& tile : conv_tiles) {
      CAPTURE(s.in_h);
      CAPTURE(s.out_c);
      CAPTURE(tile.m);
      CAPTURE(tile.n);
      GemmConvCase<Element> conv;
      conv.tile = tile;
      conv.passes = {ConvPass::forward(s, chunk_of<Element>)};
      conv.x = filled<Element>(s.in_c, x), conv.weight = weight;
      conv.size = y.size();
      CHECK(cuda::run_to_float(conv) == y);
      conv.residual = to_bf16(reference::integers(y_size, 100, 6));
      conv.scale = reference::integers(s.out_c, 3, 7);
      conv.shift = reference::integers(s.out_c, 100, 8);
      conv.activation = Activation::leaky_relu(0.25f);
      if constexpr (std::is_same_v<Element, float>)
        CHECK(cuda::run_to_float(conv) == emulated::run_to_float(conv));
      else
        CHECK(cuda::run_to_bf16(conv) == emulated::run_to_bf16(conv));
      conv = {};
      conv.tile = tile;
      conv.passes = ConvPass::backward_data(s, chunk_of<Element>);
      conv.x = filled<Element>(s.out_c, dy), conv.weight = weight;
      conv.size = dx.size();
      CHECK(cuda::run_to_float(conv) == dx);
    }
  }
}

void append(std::vector<float>& to, const std::vector<float>& values) {
  to.insert(to.end(), values.begin(), values.end());
}

constexpr Precision precisions[] = {Precision::fp32, Precision::tf32, Precision::bf16};

TEST_CASE("the compiled convolutions of training are exact on integers") {
  for (const Conv2dShape& s :
       {same(1, 1, 1, 8, 8, 3, 1), same(1, 8, 8, 3, 16, 3, 1), same(2, 9, 9, 24, 16, 3, 2),
        same(1, 9, 9, 16, 128, 3, 1), same(5, 16, 15, 8, 16, 1, 1), same(2, 7, 7, 32, 72, 1, 2),
        with_padding({1, 7, 9, 6, 9, 2, 3, 1, {}, {}}, {0, 2}, {3, 0})}) {
    TrainingCase training;
    training.shape = s;
    training.x = reference::integers(s.batch * s.in_h * s.in_w * s.in_c, 4, 9);
    training.weight = reference::integers(s.weight_size(), 4, 10);
    training.dy = reference::integers(s.batch * s.out_h() * s.out_w() * s.out_c, 4, 11);
    const auto y = narrow(reference::conv2d_forward(s, training.x, training.weight));
    auto expected = y;
    append(expected, narrow(reference::conv2d_backward_data(s, training.dy, training.weight)));
    append(expected, narrow(reference::conv2d_backward_weight(s, training.x, training.dy)));
    for (const Precision precision : precisions) {
      CAPTURE(s.in_h);
      CAPTURE(s.out_c);
      CAPTURE(static_cast<int>(precision));
      training.precision = precision;
      training.shared = false;
      CHECK(cuda::run(training) == expected);
    }
    training.shared = true;
    CHECK(cuda::run(training) == expected);
  }
}

TEST_CASE("the compiled dense layers of training are exact on integers") {
  for (const DenseShape& s : {DenseShape{3, 5, 7}, DenseShape{37, 300, 10}}) {
    DenseTrainingCase training;
    training.shape = s;
    training.x = reference::integers(s.rows * s.in, 4, 12);
    training.weight = reference::integers(s.out * s.in, 4, 13);
    training.bias = reference::integers(s.out, 4, 14);
    training.dy = reference::integers(s.rows * s.out, 4, 15);
    const Conv2dShape conv = {s.rows, 1, 1, s.in, s.out, 1, 1, 1, {}, {}};
    auto y = narrow(reference::conv2d_forward(conv, training.x, training.weight));
    for (std::size_t i = 0; i < y.size(); ++i) y[i] += training.bias[i % training.bias.size()];
    auto expected = y;
    append(expected, narrow(reference::conv2d_backward_data(conv, training.dy, training.weight)));
    append(expected, narrow(reference::conv2d_backward_weight(conv, training.x, training.dy)));
    std::vector<float> dbias(training.bias.size());
    for (std::size_t i = 0; i < training.dy.size(); ++i) dbias[i % dbias.size()] += training.dy[i];
    append(expected, dbias);
    for (const Precision precision : precisions) {
      CAPTURE(s.in);
      CAPTURE(static_cast<int>(precision));
      training.precision = precision;
      CHECK(cuda::run(training) == expected);
    }
  }
}

}  // namespace
}  // namespace pixeldp::kernels
