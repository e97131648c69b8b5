#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/convolution_direct.hpp"
#include "kernels/cuda/convolution_weight.hpp"
#include "kernels/cuda/multi_draw.hpp"
#include "kernels/cuda/noisy_convolution.hpp"
#include "tests/kernels/cuda/limits.hpp"
#include "tests/multi_draw_problem.hpp"
#include "tests/reference/convolution.hpp"

namespace pixeldp::kernels {
namespace {

using reference::same;

TEST_CASE("limits of plans: direct convolutions") {
  const auto plan = [](const Conv2dShape& shape) { DirectConvPlan::make(shape, nullptr, sm_80); };
  const auto image = [&](std::int64_t h, std::int64_t w, std::int64_t in_c, std::int64_t out_c) {
    plan(same(1, h, w, in_c, out_c, 1, 1));
  };
  const std::int64_t side = two_to_the(14);
  check({
      {"height", [&](auto n) { image(n, 1, 1, 1); }, two_to_the(30), two_to_the(30) + 1, "30 bits"},
      {"width", [&](auto n) { image(side, n, 4, 1); }, side, side + 1, "30 bits"},
      {"channels in", [&](auto n) { image(side, side, n, 1); }, 4, 5, "30 bits"},
      {"channels out", [&](auto n) { image(side, side, 1, n); }, 4, 5, "30 bits"},
      {"padding above",
       [&](auto n) {
         plan(reference::with_padding(same(1, two_to_the(29), 1, 1, 1, 1, 1), {n, 0}, {0, 0}));
       },
       two_to_the(29), two_to_the(29) + 1, "30 bits"},
      {"padding on the right",
       [&](auto n) {
         plan(reference::with_padding(same(1, 1, two_to_the(29), 1, 1, 1, 1), {0, 0}, {0, n}));
       },
       two_to_the(29), two_to_the(29) + 1, "30 bits"},
      {"tiles", [&](auto n) { plan(same(n, 1, 1, 1, 1, 1, 1)); }, two_to_the(30),
       two_to_the(30) + 1, "tiles of 16 x 16 pixels"},
      {"tiles of images", [&](auto n) { plan(same(n, 17, 33, 1, 1, 1, 1)); }, two_to_the(30) / 6,
       two_to_the(30) / 6 + 1, "tiles of 16 x 16 pixels"},
      {"blocks of channels", [&](auto n) { image(1, 1, 1, n); }, 65535 * 32, 65535 * 32 + 1,
       "2097120 channels"},
  });
  // A stride has 30 bits too; one as large as that has no room for its patch.
  CHECK_FAILS(plan(same(1, 1, 1, 1, 1, 1, two_to_the(30))), "shared memory");
  CHECK_FAILS(plan(same(1, 1, 1, 1, 1, 1, two_to_the(30) + 1)), "30 bits");
}

ConvPass forward(std::int64_t batch, std::int64_t h, std::int64_t w, std::int64_t in_c,
                 std::int64_t out_c, std::int64_t kernel = 1, std::int64_t stride = 1) {
  Conv2dShape shape = same(batch, h, w, in_c, out_c, kernel, stride);
  shape.pad_h = shape.pad_w = {};
  return ConvPass::forward(shape, 8);
}

TEST_CASE("limits of plans: tensor-core convolutions") {
  const auto make = [](const ConvPass& pass, std::uintptr_t x = 0, std::uintptr_t weight = 0,
                       const ConvEpilogue& epilogue = {}, const ConvTile& tile = conv_tiles[0]) {
    return ConvPlan::make(pass, 8, tile, at(x), at(weight), epilogue, at(0), 2);
  };
  const ConvPass small = forward(1, 4, 4, 8, 8);
  const auto changed = [&](std::int64_t ConvPass::*member, std::int64_t value) {
    ConvPass pass = small;
    pass.*member = value;
    make(pass);
  };
  const std::int64_t k = two_to_the(20);
  check({
      {"channels of chunks", [&](auto n) { changed(&ConvPass::in_c, n); }, 16, 12, "fill vectors"},
      {"x", [&](auto n) { make(small, static_cast<std::uintptr_t>(n)); }, 16, 8, "aligned to 16"},
      {"weight", [&](auto n) { make(small, 0, static_cast<std::uintptr_t>(n)); }, 16, 8,
       "aligned to 16"},
      {"height", [&](auto n) { make(forward(1, n, 1, 8, 8)); }, 32767, 32768, "32767"},
      {"width", [&](auto n) { make(forward(1, 1, n, 8, 8)); }, 32767, 32768, "32767"},
      {"stride", [&](auto n) { make(forward(1, 1, 1, 8, 8, 1, n)); }, 32767, 32768, "32767"},
      {"padding above", [&](auto n) { changed(&ConvPass::pad_h, n); }, 32767 - 4, 32767 - 3,
       "32767"},
      {"padding on the left", [&](auto n) { changed(&ConvPass::pad_w, -n); }, 32767 - 4, 32767 - 3,
       "32767"},
      {"rows of the kernel", [&](auto n) { changed(&ConvPass::kernel_h, n); }, 15, 16, "15 x 15"},
      {"columns of the kernel", [&](auto n) { changed(&ConvPass::kernel_w, n); }, 15, 16,
       "15 x 15"},
      {"rows of y", [&](auto n) { changed(&ConvPass::out_h, n); }, 32767, 32768, "32767"},
      {"chunks of a pixel", [&](auto n) { make(forward(1, 1, 1, 8 * n, 8)); }, k, k + 1, "2^30"},
      {"channels of y", [&](auto n) { make(forward(1, 1, 1, 8, n)); }, k, k + 1, "2^30"},
      // Of images beyond a tile, two meet one.
      {"image of x", [&](auto n) { make(forward(1, n, 32766, 8, 1)); }, 16383, 16384, "2^30"},
      {"image of y", [&](auto n) { make(forward(1, 1, n, 8, k)); }, 512, 513, "2^30"},
      {"small images of x", [&](auto n) { make(forward(1, 1, 1, 8 * n, 8, 1)); }, k, k + 1, "2^30"},
      {"weight of a tile", [&](auto n) { make(forward(1, 40, 40, 8 * n, 8, 14)); }, k * 8 / 196,
       k * 8 / 196 + 1, "2^30"},
      {"tiles", [&](auto n) { make(forward(n, 1, 1, 8, 128)); }, two_to_the(37), two_to_the(37) + 1,
       "2^30 tiles"},
      {"tiles of channels", [&](auto n) { make(forward(two_to_the(36), 1, 1, 8, n)); }, 256, 257,
       "2^30 tiles"},
      {"pixels", [&](auto n) { make(forward(n, 1, 1, 8, 8)); }, 1, two_to_the(62), "2^30 tiles"},
  });
  ConvEpilogue epilogue;
  epilogue.next = at<std::uint16_t>(0), epilogue.next_scale = epilogue.next_shift = at(0);
  CHECK_NOTHROW(make(small, 0, 0, epilogue));
  for (const auto part : {&ConvEpilogue::next_scale, &ConvEpilogue::next_shift}) {
    ConvEpilogue without = epilogue;
    without.*part = nullptr;
    CHECK_FAILS(make(small, 0, 0, without), "no scale or no shift");
  }
  CHECK_FAILS(make(small, 0, 0, {}, {32, 32, 4, 1, 1}), "no kernel of such a tile");
}

TEST_CASE("limits of plans: gradients in weights") {
  const auto plan = [](const Conv2dShape& shape, std::uintptr_t x = 0, std::uintptr_t dy = 0) {
    ConvWeightPlan::make(shape, 8, at(x), at(dy));
  };
  const auto padded = [](Padding h, Padding w) {
    return reference::with_padding(same(1, 4, 4, 8, 8, 1, 1), h, w);
  };
  const Conv2dShape small = same(1, 4, 4, 8, 8, 1, 1);
  const std::int64_t side = two_to_the(13);
  check({
      {"x", [&](auto n) { plan(small, static_cast<std::uintptr_t>(n)); }, 16, 8, "aligned to 16"},
      {"dy", [&](auto n) { plan(small, 0, static_cast<std::uintptr_t>(n)); }, 16, 8,
       "aligned to 16"},
      {"height", [&](auto n) { plan(same(1, n, 1, 8, 8, 1, 1)); }, 32767, 32768, "32767"},
      {"width", [&](auto n) { plan(same(1, 1, n, 8, 8, 1, 1)); }, 32767, 32768, "32767"},
      {"above",
       [&](auto n) {
         plan(padded({n, 0}, {0, 0}));
       },
       32763, 32764, "32767"},
      {"below",
       [&](auto n) {
         plan(padded({0, n}, {0, 0}));
       },
       32763, 32764, "32767"},
      {"left",
       [&](auto n) {
         plan(padded({0, 0}, {n, 0}));
       },
       32763, 32764, "32767"},
      {"right",
       [&](auto n) {
         plan(padded({0, 0}, {0, n}));
       },
       32763, 32764, "32767"},
      {"stride", [&](auto n) { plan(same(1, 1, 1, 8, 8, 1, n)); }, 32767, 32768, "32767"},
      {"channels of x", [&](auto n) { plan(same(1, 1, 1, n, 1, 1, 1)); }, two_to_the(30),
       two_to_the(30) + 1, "2^30"},
      {"image", [&](auto n) { plan(same(1, side, n, 16, 1, 1, 1)); }, side, side + 1, "2^30"},
      {"filled image", [&](auto n) { plan(same(1, side, side, n, 1, 1, 1)); }, 16, 17, "2^30"},
      {"padded image",
       [&](auto n) {
         plan(reference::with_padding(same(1, 1, 1, two_to_the(23), 1, 1, 1), {31, 0}, {n, 0}));
       },
       31, 32, "2^30 vectors"},
      {"weight", [&](auto n) { plan(same(1, 1, 1, 1024, n, 1, 1)); }, two_to_the(20),
       two_to_the(20) + 1, "2^30"},
      {"taps", [&](auto n) { plan(same(1, 32, 32, two_to_the(20), n, 32, 1)); }, 1, 2, "2^30"},
      {"pixels", [&](auto n) { plan(same(n, 1, 1, 8, 8, 1, 1)); }, 220 * two_to_the(30),
       220 * two_to_the(30) + 1, "2^30 pixels for each of 220 sums"},
      {"images that are passed at once",
       [&](auto n) { plan(same(n, 1, 1, two_to_the(30), 1, 1, 1)); }, 7, 8, "9 images of x exceed"},
      {"many pixels", [&](auto n) { plan(same(n, 1, 1, 8, 8, 1, 1)); }, 1, two_to_the(40) + 1,
       "2^40 pixels"},
  });
}

TEST_CASE("limits of plans: convolutions of noise") {
  const auto changed = [](auto change) {
    return [=](std::int64_t n) {
      Conv2dShape shape = same(1, 8, 8, 16, 32, 3, 1);
      change(shape, n);
      return NoisyConvPlan::supports(shape);
    };
  };
  using Shape = Conv2dShape;
  const std::int64_t most = two_to_the(30);
  check(std::vector<Supported>{
      {"kernel", [](auto n) { return NoisyConvPlan::supports(same(1, 9, 9, 16, 32, n, 1)); }, 5, 7},
      {"rows of the kernel", changed([](Shape& s, auto n) { s.kernel_h = n; }), 3, 5},
      {"columns of the kernel", changed([](Shape& s, auto n) { s.kernel_w = n; }), 3, 5},
      {"stride", changed([](Shape& s, auto n) { s.stride = n; }), 1, 2},
      {"above", changed([](Shape& s, auto n) { s.pad_h.before = n; }), 1, 2},
      {"below", changed([](Shape& s, auto n) { s.pad_h.after = n; }), 1, 0},
      {"left", changed([](Shape& s, auto n) { s.pad_w.before = n; }), 1, 0},
      {"right", changed([](Shape& s, auto n) { s.pad_w.after = n; }), 1, 2},
      {"channels of x", changed([](Shape& s, auto n) { s.in_c = n; }), 32, 48},
      {"channels of x, few", changed([](Shape& s, auto n) { s.in_c = n; }), 16, 8},
      {"channels of y", changed([](Shape& s, auto n) { s.out_c = n; }), 48, 40},
      {"no height", changed([](Shape& s, auto n) { s.in_h = n; }), 1, 0},
      {"image of x", changed([](Shape& s, auto n) { s.in_h = n, s.in_w = 4, s.out_c = 16; }),
       most / 64, most / 64 + 1},
      {"image of y", changed([](Shape& s, auto n) { s.in_h = n, s.in_w = 4, s.out_c = 128; }),
       most / 512, most / 512 + 1},
      {"weight", changed([](Shape& s, auto n) { s.in_h = s.in_w = 1, s.out_c = 16 * n; }),
       most / (9 * 16 * 16), most / (9 * 16 * 16) + 1},
  });
  const Conv2dShape shape = same(1, 8, 8, 16, 32, 3, 1);
  const auto plan = [&](std::int64_t rows, std::vector<std::uintptr_t> offsets) {
    offsets.resize(7);
    ConvEpilogue epilogue;
    epilogue.scale = at(offsets[0]), epilogue.shift = at(offsets[1]);
    epilogue.residual = at<std::uint16_t>(offsets[2]);
    NoisyConvPlan::make(shape, {}, rows, at(offsets[3]), at<std::uint16_t>(offsets[4]), epilogue,
                        at(offsets[5]), at<std::uint16_t>(offsets[6]));
  };
  CHECK_NOTHROW(plan(1, {}));
  for (std::size_t i = 0; i < 7; ++i) {
    std::vector<std::uintptr_t> offsets(7);
    offsets[i] = 8;
    CHECK_FAILS(plan(1, offsets), "aligned to 16 bytes");
  }
  check({{"rows", [&](auto n) { plan(n, {}); }, most_blocks, most_blocks + 1, "one launch"}});
  ConvEpilogue epilogue;
  epilogue.next = at<std::uint16_t>(0);
  CHECK_FAILS(NoisyConvPlan::make(shape, {}, 1, at(0), nullptr, epilogue, at(0), nullptr),
              "what follows y is not taken");
}

TEST_CASE("limits of plans: many draws") {
  const MultiDrawNetwork network = {small_convolution(), 128, 10};
  const auto changed = [&](auto change) {
    return [=](std::int64_t n) {
      MultiDrawNetwork other = network;
      change(other, n);
      return MultiDrawGrid::supports(other, sm_80);
    };
  };
  using Network = MultiDrawNetwork;
  const std::int64_t most_rows = two_to_the(30) / (6 * 16);
  check(std::vector<Supported>{
      {"classes", changed([](Network& n, auto v) { n.classes = v; }), 128, 129},
      {"no classes", changed([](Network& n, auto v) { n.classes = v; }), 1, 0},
      {"hidden", changed([](Network& n, auto v) { n.hidden = v; }), 128, 144},
      {"width", changed([](Network& n, auto v) { n.conv.in_w = v; }), 6, 8},
      {"channels in", changed([](Network& n, auto v) { n.conv.in_c = v; }), 16, 32},
      {"channels out", changed([](Network& n, auto v) { n.conv.out_c = v; }), 32, 48},
      {"kernel", changed([](Network& n, auto v) { n.conv.kernel_h = v; }), 3, 2},
      {"kernel's width", changed([](Network& n, auto v) { n.conv.kernel_w = v; }), 3, 4},
      {"stride", changed([](Network& n, auto v) { n.conv.stride = v; }), 2, 1},
      {"left", changed([](Network& n, auto v) { n.conv.pad_w.before = v; }), 0, 1},
      {"right", changed([](Network& n, auto v) { n.conv.pad_w.after = v; }), 1, 3},
      {"above", changed([](Network& n, auto v) { n.conv.pad_h.before = v; }), 2, 3},
      {"below", changed([](Network& n, auto v) { n.conv.pad_h.after = v; }), 2, 3},
      {"above, negative", changed([](Network& n, auto v) { n.conv.pad_h.before = v; }), 0, -1},
      {"below, negative", changed([](Network& n, auto v) { n.conv.pad_h.after = v; }), 0, -1},
      {"height", changed([](Network& n, auto v) { n.conv.in_h = v; }), most_rows, most_rows + 1},
      {"low image", changed([](Network& n, auto v) { n.conv.in_h = v; }), 2, 1},
  });
  const auto plan = [&](std::uint32_t first, std::uint32_t draws, std::int64_t images,
                        std::uintptr_t offset) {
    MultiDrawParams params;
    params.first_draw = first, params.draws = draws, params.images = images;
    MultiDrawGrid::plan(network, params, sm_80, 0, at(offset));
  };
  check({
      {"draws", [&](auto n) { plan(0xffffff00, static_cast<std::uint32_t>(n), 1, 0); }, 256, 257,
       "numbered by 32 bits"},
      {"images", [&](auto n) { plan(0, 1, n, 0); }, 65535, 65536, "65535"},
      {"prefixes", [&](auto n) { plan(0, 1, 1, static_cast<std::uintptr_t>(n)); }, 16, 8,
       "aligned to 16 bytes"},
  });
}

}  // namespace
}  // namespace pixeldp::kernels
