#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/convolution_direct.hpp"
#include "kernels/cuda/convolution_weight.hpp"
#include "kernels/cuda/noisy_convolution.hpp"
#include "kernels/cuda/operations.hpp"
#include "tests/kernels/cuda/far_arrays.hpp"
#include "tests/multi_draw_problem.hpp"
#include "tests/reference/convolution.hpp"

namespace pixeldp::kernels::emulated::far {
namespace {

TEST_CASE("beyond 2^32 elements: convolutions") {
  // Kernels of one pixel, so that the last row of pixels of the last tile ends both problems.
  const auto direct = [](std::int64_t batch, std::int64_t side) {
    return reference::same(batch, side, side, 4, 4, 1, 1);
  };
  const std::int64_t side = two_to_the(14), tile = 16, last = tile * 4, all = 5 * side * side * 4;
  std::vector<float> x(static_cast<std::size_t>(tile * tile * 4 - last));
  const auto last_row = reals(last, 1);
  x.insert(x.end(), last_row.begin(), last_row.end());
  check(
      "conv2d_direct",
      {Array(x, all).alike(last), Array(reals(16, 2)), Array(reals(4, 3)),
       floats(tile * tile * 4, all, 4).alike(last)},
      [&](const Pointers& p) {
        conv2d_direct(native_stream(), direct(1, tile), {}, p[0], p[1], p[2], p[3]);
      },
      [&](const Pointers& p) {
        conv2d_direct(native_stream(), direct(5, side), {}, p[0], p[1], p[2], p[3]);
      });

  const std::int64_t batch = two_to_the(27) + 8, near = 8;  // images of one tile
  const auto weight = reference::same(1, 4, 4, 8, 16, 3, 1).weight_size();
  check("conv2d_gemm in bf16",
        {halves(near * 128, batch * 128), halves(weight, weight, 2), Array(reals(16, 3)),
         Array(reals(16, 4)), halves(near * 256, batch * 256, 5),
         halves(near * 256, batch * 256, 6), halves(near * 256, batch * 256, 7)},
        near, batch, [](const Pointers& p, std::int64_t count) {
          const auto pass = ConvPass::forward(reference::same(count, 4, 4, 8, 16, 3, 1), 8);
          ConvEpilogue epilogue;
          epilogue.residual = p[4];
          epilogue.next_scale = p[2], epilogue.next_shift = p[3], epilogue.next = p[5];
          conv2d_gemm(native_stream(), pass, conv_tiles[2], static_cast<const std::uint16_t*>(p[0]),
                      static_cast<const std::uint16_t*>(p[1]), epilogue,
                      static_cast<std::uint16_t*>(p[6]));
        });
  check("conv2d_gemm in tf32",
        {floats(near * 128, batch * 128), floats(weight, weight, 2),
         floats(near * 256, batch * 256, 3), floats(near * 256, batch * 256, 4)},
        near, batch, [](const Pointers& p, std::int64_t count) {
          const auto pass = ConvPass::forward(reference::same(count, 4, 4, 8, 16, 3, 1), 4);
          ConvEpilogue epilogue;
          epilogue.residual_fp32 = p[2];
          conv2d_gemm(native_stream(), pass, conv_tiles[2], static_cast<const float*>(p[0]),
                      static_cast<const float*>(p[1]), epilogue, static_cast<float*>(p[3]));
        });
  // Weights of 2^32 chunks, for a pixel.
  const std::int64_t in_c = two_to_the(15), out_c = two_to_the(20);
  check("conv2d_gemm of many weights",
        {halves(in_c, in_c), halves(64 * in_c, out_c * in_c, 2), halves(64, out_c, 3)}, 64, out_c,
        [=](const Pointers& p, std::int64_t count) {
          const auto pass = ConvPass::forward(reference::same(1, 1, 1, in_c, count, 1, 1), 8);
          conv2d_gemm(native_stream(), pass, conv_tiles[3], static_cast<const std::uint16_t*>(p[0]),
                      static_cast<const std::uint16_t*>(p[1]), {},
                      static_cast<std::uint16_t*>(p[2]));
        });
}

TEST_CASE("beyond 2^32 elements: gradients in weights") {
  // Of 4096 pixels the last alone is not zero; a block of the sum of splits ends with 32 channels.
  const std::int64_t pixels = 4096, out_c = two_to_the(20), near = 128;
  std::vector<std::uint16_t> dy(static_cast<std::size_t>(pixels * near));
  for (std::size_t i = 0; i < 128; ++i)
    dy[dy.size() - 128 + i] = reference::to_bf16(static_cast<float>(i) - 63.5f);
  const auto shape = [](std::int64_t count) {
    return reference::same(pixels, 1, 1, 8, count, 1, 1);
  };
  check("conv2d_gemm_backward_weight, dy",
        {halves(pixels * 8, pixels * 8), Array(dy, pixels * out_c).alike(near),
         zeros<float>(ConvWeightPlan::make(shape(near), 8).workspace_size(),
                      ConvWeightPlan::make(shape(out_c), 8).workspace_size())
             .alike(0),
         floats(near * 8, out_c * 8).alike(256)},
        near, out_c, [&](const Pointers& p, std::int64_t count) {
          conv2d_gemm_backward_weight(native_stream(), shape(count),
                                      static_cast<const std::uint16_t*>(p[0]),
                                      static_cast<const std::uint16_t*>(p[1]), p[2], p[3]);
        });
  // The last pixel of the last image is the only one of x and dy that is not zero.
  const std::int64_t batch = 4096, side = 1025;
  const Conv2dShape far = {.batch = batch,
                           .in_h = side,
                           .in_w = side,
                           .in_c = 8,
                           .out_c = 8,
                           .kernel_h = 1,
                           .kernel_w = 1,
                           .stride = 1024,
                           .pad_h = {},
                           .pad_w = {}};
  const Conv2dShape one = reference::same(1, 1, 1, 8, 8, 1, 1);
  std::vector<std::uint16_t> last_dy(static_cast<std::size_t>(batch * 4 * 8));
  std::vector<std::uint16_t> near_dy(8);
  for (std::size_t i = 0; i < 8; ++i)
    last_dy[last_dy.size() - 8 + i] = near_dy[i] = reference::to_bf16(static_cast<float>(i) + 0.5f);
  const auto run = [](const Conv2dShape& of, const Pointers& p) {
    conv2d_gemm_backward_weight(native_stream(), of, static_cast<const std::uint16_t*>(p[0]),
                                static_cast<const std::uint16_t*>(p[1]), p[2], p[3]);
  };
  const std::int64_t far_workspace = ConvWeightPlan::make(far, 8).workspace_size();
  check(
      "conv2d_gemm_backward_weight, x",
      {halves(8, batch * side * side * 8), Array(near_dy, std::ssize(last_dy)).but(last_dy),
       zeros<float>(ConvWeightPlan::make(one, 8).workspace_size(), far_workspace)
           .but(std::vector<float>(static_cast<std::size_t>(far_workspace))),
       floats(64, 64)},
      [&](const Pointers& p) { run(one, p); }, [&](const Pointers& p) { run(far, p); });
}

TEST_CASE("beyond 2^32 elements: what makes its own noise") {
  const std::int64_t rows = two_to_the(24) + 1, elements = 4 * 4 * 16;
  const auto noise_rows = [](std::int64_t source) { return std::vector<NoiseRow>{{source, 5, 6}}; };
  const Conv2dShape shape = reference::same(1, 4, 4, 16, 16, 3, 1);
  check("noisy_conv2d",
        {Array(noise_rows(0), rows).but(noise_rows(rows - 1)), floats(elements, rows * elements),
         halves(16 * 16 * 9, 16 * 16 * 9, 2), halves(elements, rows * elements, 3),
         halves(elements, rows * elements, 4), halves(elements, rows * elements, 5)},
        1, rows, [&](const Pointers& p, std::int64_t count) {
          NoisyInput input;
          input.noise.distribution = NoiseDistribution::gaussian, input.noise.scale = 0.5f;
          ConvEpilogue epilogue;
          epilogue.residual = p[3];
          noisy_conv2d(native_stream(), shape, input, p[0], count, p[1], p[2], epilogue,
                       static_cast<std::uint16_t*>(p[4]), p[5]);
        });

  const MultiDrawProblem problem(small_convolution(350), 128, 10, 1, 3, false);
  const std::int64_t images = 65535;
  check(
      "multi_draw",
      {Array(problem.conv), Array(problem.dense), Array(problem.dense_bias), Array(problem.head),
       Array(problem.head_bias), Array(problem.prefixes, images * problem.row_size()),
       Array(problem.ids, images), zeros(10, images * 10), zeros(10, images * 10),
       zeros(10, images * 10), zeros(1, 1)},
      1, images, [&](const Pointers& p, std::int64_t count) {
        MultiDrawParams params = problem.params;
        params.images = count;
        // Packing runs whole grids.
        Settings all = settings();
        all.last_block_only = false;
        std::unique_ptr<MultiDraw> packed;
        {
          const WithSettings with(all);
          packed = emulated::pack_multi_draw(s(), problem.network, {p[0], p[1], p[2], p[3], p[4]});
        }
        packed->run(params, p[5], p[6], p[7], p[8], p[9], p[10]);
      });
}

}  // namespace
}  // namespace pixeldp::kernels::emulated::far
