#include <vector>

#include <doctest/doctest.h>

#include "kernels/dense.hpp"
#include "kernels/emulator/settings.hpp"
#include "tests/ptx/int8_on_device.hpp"
#include "tests/ptx/wgmma_on_device.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/reference/int8.hpp"
#include "tests/reference/values.hpp"

/// The kernels of plans in int8 as nvcc compiled them, on a GPU or in an interpreter of PTX,
/// against the emulator: every bit, for sums are exact and all else rounds once.
namespace pixeldp::kernels {
namespace {

using reference::same, reference::with_padding;

std::vector<std::int8_t> int8_values(std::int64_t count, std::uint64_t seed) {
  std::vector<std::int8_t> bytes;
  for (const float value : reference::integers(count, 127, seed))
    bytes.push_back(static_cast<std::int8_t>(value));
  return bytes;
}

/// Every part of the epilogue, against the emulator, and the sums themselves.
void check_convolution(const Conv2dShape& s, const Int8ConvKernel& kernel) {
  const std::int64_t count = s.batch * s.out_h() * s.out_w() * s.out_c;
  CAPTURE(describe(s));
  CAPTURE(kernel.wgmma_channels);
  CAPTURE(kernel.tile.m);
  CAPTURE(kernel.tile.n);
  Int8ConvCase conv{.shape = s,
                    .kernel = kernel,
                    .x = int8_values(s.batch * s.in_h * s.in_w * int8_channels(s.in_c), 1),
                    .weight = pack_int8_weight(s, int8_values(s.weight_size(), 2)),
                    .scale = reference::reals(s.out_c, 3),
                    .shift = reference::reals(s.out_c, 4),
                    .residual = reference::reals(count, 5),
                    .next_scale = reference::reals(s.out_c, 6),
                    .next_shift = reference::reals(s.out_c, 7),
                    .activation = {0.1f},
                    .next_activation = Activation::relu()};
  CHECK(cuda::run(conv) == emulated::run(conv));
  conv.scale.assign(conv.scale.size(), 1.0f);
  conv.shift.assign(conv.shift.size(), 0.0f);
  conv.residual.assign(conv.residual.size(), 0.0f);
  conv.activation = Activation::identity();
  const auto sums = reference::conv2d_forward(
      {s.batch, s.in_h, s.in_w, int8_channels(s.in_c), s.out_c, s.kernel_h, s.kernel_w, s.stride,
       s.pad_h, s.pad_w},
      {conv.x.begin(), conv.x.end()}, [&] {
        // Back to OIHW, with the channels that fill up the vectors.
        const std::int64_t filled = int8_channels(s.in_c), taps = s.kernel_h * s.kernel_w;
        std::vector<float> weight(conv.weight.size());
        for (std::size_t i = 0; i < weight.size(); ++i) {
          const auto at = static_cast<std::int64_t>(i), c = at % filled, tap = at / filled % taps,
                     o = at / filled / taps;
          weight[static_cast<std::size_t>((o * filled + c) * taps + tap)] = conv.weight[i];
        }
        return weight;
      }());
  CHECK(cuda::run(conv).y == std::vector<float>(sums.begin(), sums.end()));
}

TEST_CASE("the compiled int8 convolutions have the bits of the emulated ones") {
  for (const Conv2dShape& s :
       {same(1, 1, 1, 16, 12, 3, 1), same(5, 3, 4, 32, 24, 3, 1), same(2, 9, 9, 48, 16, 3, 2),
        same(1, 8, 9, 80, 136, 3, 1), same(2, 7, 7, 17, 10, 1, 2), as_convolution({70, 160, 72}),
        with_padding({1, 7, 9, 6, 8, 2, 3, 1, {}, {}}, {0, 2}, {3, 0})})
    for (const ConvTile& tile : conv_tiles) check_convolution(s, {0, tile});
}

TEST_CASE("the compiled int8 convolutions by warpgroups have the bits of the emulated ones") {
  if (!cuda::has_warpgroup_products()) return;
  const emulator::WithSettings with(sm_90);
  for (const Conv2dShape& s : {same(1, 16, 16, 144, 160, 3, 1), same(3, 7, 7, 48, 98, 3, 1),
                               same(1, 16, 16, 17, 40, 3, 2), as_convolution({70, 160, 72})})
    for (const int channels : WgmmaTile::channels) check_convolution(s, {channels, conv_tiles[1]});
}

TEST_CASE("the compiled rounding to bytes, of values and of noise, has the emulated bits") {
  for (const std::int64_t channels : {3, 12, 37, 64, 1028}) {
    Int8ValuesCase values{.pixels = 5,
                          .channels = channels,
                          .x = reference::reals(5 * channels, 1),
                          .scale = reference::reals(channels, 2),
                          .shift = reference::reals(channels, 3),
                          .activation = {0.1f},
                          .noise = {},
                          .rows = {}};
    const auto edges = reference::rounding_edges();
    for (std::size_t i = 0; i < values.x.size() && i + 1 < edges.size(); i += 3)
      values.x[i] = edges[i] / 90.0f;
    if (channels % 4 == 0) values.rows = {{0, 3, 5}, {4, 9, 0xffffffff}, {2, 9, 0}};
    for (const auto distribution :
         {NoiseDistribution::none, NoiseDistribution::gaussian, NoiseDistribution::laplace})
      for (const float slope : {1.0f, 0.0f, 0.1f}) {
        CAPTURE(channels);
        CAPTURE(slope);
        values.noise.distribution = distribution, values.noise.scale = 0.3f;
        values.noise.activation = {slope};
        CHECK(cuda::run(values) == emulated::run(values));
      }
  }
}

}  // namespace
}  // namespace pixeldp::kernels
