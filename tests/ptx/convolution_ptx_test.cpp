#include <bit>
#include <vector>

#include <doctest/doctest.h>

#include "tests/ptx/convolution_on_device.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/reference/values.hpp"

/// The convolutions as nvcc compiled them, on a GPU or in an interpreter of PTX, against the
/// emulator, whose results tests/kernels compares with the definitions, and against those.
namespace pixeldp::kernels {
namespace {

Conv2dShape same(std::int64_t batch, std::int64_t h, std::int64_t w, std::int64_t in_c,
                 std::int64_t out_c, std::int64_t kernel, std::int64_t stride) {
  return {batch,
          h,
          w,
          in_c,
          out_c,
          kernel,
          kernel,
          stride,
          same_padding(h, kernel, stride),
          same_padding(w, kernel, stride)};
}

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
  for (const Conv2dShape& s : {same(2, 28, 28, 1, 32, 5, 2), same(1, 18, 17, 3, 16, 3, 1),
                               same(1, 20, 20, 3, 32, 10, 2), same(1, 7, 5, 3, 7, 4, 2)}) {
    for (const float slope : {1.0f, 0.0f, 0.1f}) {
      const DirectConvCase conv = {s,
                                   {slope},
                                   reference::reals(s.batch * s.in_h * s.in_w * s.in_c, 1),
                                   reference::reals(s.weight_size(), 2)};
      CAPTURE(s.in_h);
      CAPTURE(slope);
      CHECK(bits(cuda::run(conv)) == bits(emulated::run(conv)));
    }
  }
}

TEST_CASE("the compiled tensor-core convolutions are exact on integers") {
  for (const Conv2dShape& s :
       {same(1, 1, 1, 8, 10, 3, 1), same(5, 3, 4, 16, 24, 3, 1), same(2, 9, 9, 24, 16, 3, 2),
        same(1, 8, 9, 40, 136, 3, 1), same(2, 7, 7, 32, 64, 1, 2)}) {
    const std::int64_t x_size = s.batch * s.in_h * s.in_w * s.in_c,
                       y_size = s.batch * s.out_h() * s.out_w() * s.out_c;
    const auto x = reference::integers(x_size, 4, 3);
    const auto weight = reference::integers(s.weight_size(), 4, 4);
    const auto dy = reference::integers(y_size, 4, 5);
    const auto y = reference::conv2d_forward(s, x, weight);
    const auto dx = reference::conv2d_backward_data(s, dy, weight);
    for (const ConvTile& tile : conv_tiles) {
      CAPTURE(s.in_h);
      CAPTURE(s.out_c);
      CAPTURE(tile.m);
      CAPTURE(tile.n);
      Bf16ConvCase conv;
      conv.tile = tile;
      conv.passes = {ConvPass::forward(s)};
      conv.x = to_bf16(x), conv.weight = pack_conv2d_weight(s, weight.data());
      conv.size = y.size();
      CHECK(cuda::run_to_float(conv) == std::vector<float>(y.begin(), y.end()));
      conv.residual = to_bf16(reference::integers(y_size, 100, 6));
      conv.scale = reference::integers(s.out_c, 3, 7);
      conv.shift = reference::integers(s.out_c, 100, 8);
      conv.activation = Activation::leaky_relu(0.25f);
      CHECK(cuda::run_to_bf16(conv) == emulated::run_to_bf16(conv));
      if (s.out_c % 8 != 0) continue;
      conv = {};
      conv.tile = tile;
      conv.passes = ConvPass::backward_data(s);
      conv.x = to_bf16(dy), conv.weight = pack_conv2d_weight_for_data(s, weight.data());
      conv.size = dx.size();
      CHECK(cuda::run_to_float(conv) == std::vector<float>(dx.begin(), dx.end()));
    }
  }
}

TEST_CASE("the compiled gradient in the weight is exact on integers") {
  for (const Conv2dShape& s :
       {same(1, 1, 1, 8, 8, 3, 1), same(2, 9, 9, 24, 16, 3, 2), same(1, 9, 9, 16, 128, 3, 1),
        same(5, 16, 15, 8, 16, 1, 1), same(2, 7, 7, 32, 72, 1, 2)}) {
    const auto x = reference::integers(s.batch * s.in_h * s.in_w * s.in_c, 4, 9);
    const auto dy = reference::integers(s.batch * s.out_h() * s.out_w() * s.out_c, 4, 10);
    const auto dweight = reference::conv2d_backward_weight(s, x, dy);
    CAPTURE(s.in_h);
    CAPTURE(s.out_c);
    CHECK(cuda::run(WeightGradientCase{s, to_bf16(x), to_bf16(dy)}) ==
          std::vector<float>(dweight.begin(), dweight.end()));
  }
}

}  // namespace
}  // namespace pixeldp::kernels
