#include <bit>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/emulator/settings.hpp"
#include "tests/ptx/wgmma_on_device.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/reference/values.hpp"

/// The convolutions by warpgroups as nvcc compiled them, on a GPU of sm_90 or in an interpreter of
/// PTX that stands for one, against their definition and the emulator.
namespace pixeldp::kernels {
namespace {

using reference::same;

std::vector<std::uint16_t> bits_of(const std::vector<float>& integers) {
  std::vector<std::uint16_t> result;
  for (const float value : integers)
    result.push_back(static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16));
  return result;
}

std::vector<float> single(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

TEST_CASE("the compiled convolutions by warpgroups are exact on integers") {
  if (!cuda::has_warpgroup_products()) return;
  const emulator::WithSettings with(sm_90);
  for (const Conv2dShape& s : {same(1, 16, 16, 64, 160, 3, 1), same(5, 8, 8, 80, 156, 3, 1),
                               same(1, 16, 16, 144, 128, 1, 1), same(1, 32, 32, 64, 120, 3, 2),
                               same(3, 7, 7, 96, 98, 3, 1), same(1, 16, 16, 80, 320, 3, 1),
                               same(5, 8, 8, 64, 250, 3, 1), same(2, 16, 16, 64, 130, 3, 1),
                               // More tiles than the interpreter's device has multiprocessors.
                               same(10, 16, 16, 64, 156, 2, 1), same(9, 16, 16, 80, 130, 1, 1)}) {
    const std::int64_t x_size = s.batch * s.in_h * s.in_w * s.in_c,
                       y_size = s.batch * s.out_h() * s.out_w() * s.out_c;
    CAPTURE(s.in_h);
    CAPTURE(s.out_c);
    WgmmaCase conv;
    conv.passes = {ConvPass::forward(s, 8)};
    const auto x = reference::integers(x_size, 4, 3);
    conv.x = bits_of(x);
    conv.weight = reference::integers(s.weight_size(), 4, 4);
    conv.size = static_cast<std::size_t>(y_size);
    CHECK(cuda::run_to_float(conv).y == single(reference::conv2d_forward(s, x, conv.weight)));
    conv.residual = bits_of(reference::integers(y_size, 100, 6));
    conv.scale = reference::integers(s.out_c, 3, 7);
    conv.shift = reference::integers(s.out_c, 100, 8);
    conv.activation = Activation::leaky_relu(0.25f);
    conv.next_scale = reference::reals(s.out_c, 9), conv.next_shift = reference::reals(s.out_c, 10);
    conv.next_activation = Activation::relu();
    CHECK(cuda::run_to_bf16(conv) == emulated::run_to_bf16(conv));
  }
}

TEST_CASE("the compiled data gradients by warpgroups are exact on integers") {
  if (!cuda::has_warpgroup_products()) return;
  for (const Conv2dShape& s : {same(5, 8, 8, 128, 64, 3, 1), same(1, 16, 16, 128, 64, 2, 2)}) {
    const auto dy = reference::integers(s.batch * s.out_h() * s.out_w() * s.out_c, 4, 10);
    WgmmaCase conv;
    conv.passes = ConvPass::backward_data(s, 8);
    conv.x = bits_of(dy);
    conv.weight = reference::integers(s.weight_size(), 4, 9);
    conv.size = static_cast<std::size_t>(s.batch * s.in_h * s.in_w * s.in_c);
    CHECK(cuda::run_to_float(conv).y ==
          single(reference::conv2d_backward_data(s, dy, conv.weight)));
  }
}

TEST_CASE("the compiled weight gradients by warpgroups are exact on integers") {
  if (!cuda::has_warpgroup_products()) return;
  const emulator::WithSettings with(sm_90);
  // Boxes of 64 and of 49 pixels, of several images; strides; four splits.
  const Conv2dShape shapes[] = {same(1, 8, 16, 40, 156, 3, 1), same(2, 7, 7, 64, 98, 3, 1),
                                same(2, 8, 8, 24, 130, 3, 2), same(33, 4, 16, 8, 16, 1, 1)};
  for (const Conv2dShape& s : shapes) {
    CAPTURE(s.in_c);
    const auto x = reference::integers(s.batch * s.in_h * s.in_w * s.in_c, 4, 11);
    const auto dy = reference::integers(s.batch * s.out_h() * s.out_w() * s.out_c, 4, 12);
    const auto exact = single(reference::conv2d_backward_weight(s, x, dy));
    for (const WgmmaWeightTile& tile : wgmma_weight_tiles) {
      CAPTURE(tile.channels);
      CAPTURE(tile.box_channels);
      const WgmmaWeightCase conv = {s, tile, bits_of(reference::filled(s.in_c, 8, x)),
                                    bits_of(reference::filled(s.out_c, 8, dy))};
      CHECK(cuda::run_weight_gradient(conv) == exact);
    }
  }
}

}  // namespace
}  // namespace pixeldp::kernels
