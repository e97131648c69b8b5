#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/bf16_layouts.hpp"
#include "kernels/cuda/column_sums.hpp"
#include "kernels/cuda/convolution_direct.hpp"
#include "kernels/cuda/noisy_convolution.hpp"
#include "kernels/cuda/scaling.hpp"
#include "tests/kernels/cuda/moved_arrays.hpp"
#include "tests/reference/convolution.hpp"

namespace pixeldp::kernels::emulated::moved {
namespace {

using reference::same;

TEST_CASE("every pointer of the kernels behind them may lie at any element, or is refused") {
  check("to_bf16", {floats(21), halves(21)},
        [](const Stream& s, const Pointers& p) { to_bf16(s.native(), 21, p[0], p[1]); });
  check("from_bf16", {halves(21), floats(21)},
        [](const Stream& s, const Pointers& p) { from_bf16(s.native(), 21, p[0], p[1]); });
  const Conv2dShape shape = same(2, 5, 4, 8, 16, 3, 1);
  check("weight_to_bf16", {floats(shape.weight_size()), halves(shape.weight_size())},
        [&](const Stream& s, const Pointers& p) { weight_to_bf16(s.native(), shape, p[0], p[1]); });
  check(
      "weight_from_bf16", {halves(shape.weight_size()), floats(shape.weight_size())},
      [&](const Stream& s, const Pointers& p) { weight_from_bf16(s.native(), shape, p[0], p[1]); });
  check("column_sums", {floats(36), floats(12)},
        [](const Stream& s, const Pointers& p) { column_sums(s.native(), 3, 12, p[0], p[1]); });
  const std::int64_t inputs = 2 * 5 * 4 * 8, outputs = 2 * 5 * 4 * 16;
  check("conv2d_direct",
        {floats(inputs), floats(shape.weight_size(), 2), floats(16, 3), floats(outputs, 4)},
        [&](const Stream& s, const Pointers& p) {
          conv2d_direct(s.native(), shape, Activation::relu(), p[0], p[1], p[2], p[3]);
        });
  check("scale_values", {halves(inputs), floats(8), floats(8, 2), halves(inputs, 3)},
        [&](const Stream& s, const Pointers& p) {
          const std::uint16_t* const x = p[0];
          const float *const scale = p[1], *const shift = p[2];
          std::uint16_t* const y = p[3];
          scale_values<std::uint16_t, std::uint16_t, std::uint16_t>(
              s.native(), {inputs / 8, 8, scale, shift, {}}, x, nullptr, y);
        });
  check("scale_values with a residual", {floats(inputs), floats(inputs, 2), halves(inputs, 3)},
        [&](const Stream& s, const Pointers& p) {
          const float *const x = p[0], *const residual = p[1];
          std::uint16_t* const y = p[2];
          scale_values(s.native(), {inputs / 8, 8, nullptr, nullptr, {}}, x, residual, y);
        });
}

TEST_CASE("every pointer of a tensor-core convolution's epilogue may lie at any element") {
  const Conv2dShape shape = same(2, 5, 4, 8, 16, 3, 1);
  const std::int64_t inputs = 2 * 5 * 4 * 8, outputs = 2 * 5 * 4 * 16;
  const ConvPass pass = ConvPass::forward(shape, 8);
  check("conv2d_gemm in bf16",
        {halves(inputs), halves(shape.weight_size(), 2), floats(16, 3), floats(16, 4),
         halves(outputs, 5), floats(16, 6), floats(16, 7), halves(outputs, 8), halves(outputs, 9)},
        [&](const Stream& s, const Pointers& p) {
          const std::uint16_t *const x = p[0], *const weight = p[1];
          ConvEpilogue epilogue;
          epilogue.scale = p[2], epilogue.shift = p[3], epilogue.residual = p[4];
          epilogue.next_scale = p[5], epilogue.next_shift = p[6], epilogue.next = p[7];
          std::uint16_t* const y = p[8];
          conv2d_gemm(s.native(), pass, conv_tiles[3], x, weight, epilogue, y);
        },
        {0, 1});
  check("conv2d_gemm to single precision",
        {halves(inputs), halves(shape.weight_size(), 2), floats(outputs, 3), floats(outputs, 4)},
        [&](const Stream& s, const Pointers& p) {
          const std::uint16_t *const x = p[0], *const weight = p[1];
          ConvEpilogue epilogue;
          epilogue.residual_fp32 = p[2];
          float* const y = p[3];
          conv2d_gemm(s.native(), pass, conv_tiles[3], x, weight, epilogue, y);
        },
        {0, 1});
}

TEST_CASE("every pointer of a convolution of noise may lie at any element, or is refused") {
  const Conv2dShape shape = same(2, 5, 4, 16, 16, 3, 1);
  const std::int64_t elements = 2 * 5 * 4 * 16;
  const std::vector<NoiseRow> rows = {{0, 1, 2}, {1, 3, 4}};
  check(
      "noisy_conv2d",
      {floats(16), floats(16, 2), rows, floats(elements, 3), halves(16 * 16 * 9, 4), floats(16, 5),
       floats(16, 6), halves(elements, 7), halves(elements, 8), halves(elements, 9)},
      [&](const Stream& s, const Pointers& p) {
        NoisyInput input;
        input.noise.distribution = NoiseDistribution::gaussian, input.noise.scale = 0.5f;
        input.scaling.scale = p[0], input.scaling.shift = p[1];
        const NoiseRow* const noise_rows = p[2];
        const float* const prefix = p[3];
        const std::uint16_t* const weight = p[4];
        ConvEpilogue epilogue;
        epilogue.scale = p[5], epilogue.shift = p[6], epilogue.residual = p[7];
        std::uint16_t *const y = p[8], *const x = p[9];
        noisy_conv2d(s.native(), shape, input, noise_rows, 2, prefix, weight, epilogue, y, x);
      },
      {3, 4, 5, 6, 7, 8, 9});
}

}  // namespace
}  // namespace pixeldp::kernels::emulated::moved
