#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/convolution_weight_wgmma.hpp"
#include "tests/kernels/cuda/limits.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/throws_error.hpp"

/// Which gradients in weights warpgroups make, by which tiles, boxes and splits.
namespace pixeldp::kernels {
namespace {

using reference::same, reference::with_padding;
using Tile = WgmmaWeightTile;

TEST_CASE("which gradients in weights warpgroups make") {
  const auto chosen = [](const Conv2dShape& s, const Arch& arch = sm_90) {
    return choose_wgmma_weight_tile(s, arch);
  };
  // WRN-28-10: of 160 channels, boxes of 64 would fill up a sixth of the rows.
  const Conv2dShape wide = same(128, 32, 32, 160, 160, 3, 1);
  CHECK(chosen(wide) == Tile{160, 32});
  for (const Arch& arch : {sm_80, sm_86, sm_89}) CHECK_FALSE(chosen(wide, arch).exists());
  Arch later = sm_90;
  later.capability = 100, later.warpgroup_products = false;
  CHECK_FALSE(chosen(wide, later).exists());
  CHECK(chosen(same(128, 32, 32, 160, 320, 3, 2)) == Tile{160, 32});
  CHECK(chosen(same(128, 16, 16, 320, 320, 3, 1)) == Tile{160, 64});
  CHECK(chosen(same(128, 8, 8, 640, 640, 3, 1)).box_channels == 64);
  CHECK_FALSE(chosen(same(128, 32, 32, 16, 160, 3, 1)).exists());  // 144 of 256 rows
  CHECK(chosen(same(128, 8, 8, 256, 128, 3, 1)) == Tile{128, 64});
  CHECK_FALSE(chosen(same(128, 8, 8, 256, 64, 3, 1)).exists());  // half a tile
  // Three quarters of all products: of rows, channels and pixels together.
  CHECK(chosen(same(1, 7, 7, 256, 128, 1, 1)).exists());        // 49 of 64 pixels
  CHECK_FALSE(chosen(same(1, 7, 7, 248, 120, 1, 1)).exists());  // times 31/32, times 15/16
  CHECK(chosen(same(1, 8, 8, 192, 128, 1, 1)).exists());
  CHECK_FALSE(chosen(same(1, 8, 8, 191, 128, 1, 1)).exists());
  // What the plan refuses.
  CHECK_FALSE(chosen(same(0, 8, 8, 256, 128, 3, 1)).exists());
  CHECK_FALSE(chosen(same(1, 9, 8, 256, 128, 3, 2)).exists());
  CHECK_FALSE(chosen(same(1, 8, 65, 256, 128, 3, 1)).exists());
  CHECK_FAILS(chosen({1, 2, 2, 8, 8, 3, 3, 1, {}, {}}), "larger than the padded image");
}

TEST_CASE("the boxes of pixels of a gradient in the weight") {
  const auto box = [](std::int64_t batch, std::int64_t h, std::int64_t w) {
    const auto plan = ConvWgmmaWeightPlan::make(same(batch, h, w, 64, 160, 1, 1), {160, 64});
    return std::vector{plan.box.w, plan.box.h, plan.box.images, plan.products, plan.boxes};
  };
  CHECK(box(2, 32, 32) == std::vector{32, 2, 1, 4, 32});
  CHECK(box(2, 8, 8) == std::vector{8, 8, 1, 4, 2});
  CHECK(box(9, 4, 4) == std::vector{4, 4, 4, 4, 3});
  CHECK(box(65, 1, 1) == std::vector{1, 1, 64, 4, 2});
  CHECK(box(2, 28, 28) == std::vector{28, 2, 1, 4, 28});
  CHECK(box(2, 14, 14) == std::vector{14, 2, 1, 2, 14});  // 4 rows would reach beyond an image
  CHECK(box(2, 13, 40) == std::vector{40, 1, 1, 3, 26});
  CHECK(box(2, 3, 5) == std::vector{5, 3, 4, 4, 1});
}

TEST_CASE("the splits of a gradient in the weight by warpgroups take the least time") {
  const auto plan = [](const Conv2dShape& s, const Tile& tile) {
    return ConvWgmmaWeightPlan::make(s, tile);
  };
  // 45 boxes of 32 channels are six blocks, and 22 times that as many as an H100 does at once.
  const auto wide = plan(same(128, 32, 32, 160, 160, 3, 1), {160, 32});
  CHECK(wide.tile_blocks == 6);
  CHECK(wide.boxes == 2048);
  CHECK(wide.splits == 22);
  CHECK(wide.split_boxes == 94);
  CHECK(wide.step_bytes == (256 + 160) * 64 * 2);
  // A step's bytes by 5120 / 132 a clock are more than its 1280 clocks of products; 2000 clocks and
  // the sums of a tile come on top, and 22 times 160 x 1440 sums are read once more.
  CHECK(wide.clocks == 94 * (53248 * 132 / 5120) + 2000 + 4 * 256 * 160 * 132 / 5120 +
                           22 * (4 * 160 * 1440 / 5120));
  CHECK(wide.sums().size() == 22 * 160 * 1440);
  CHECK(plan(same(128, 32, 32, 160, 160, 3, 1), {160, 64}).tile_blocks == 7);
  const auto deep = plan(same(128, 8, 8, 640, 640, 3, 1), {160, 64});
  CHECK(deep.tile_blocks == 23 * 4);
  CHECK(deep.step_bytes == (4 + 3) * 64 * 64 * 2);
  // No split without a box, all boxes in one, and eight at least in each.
  for (const std::int64_t batch : {1, 2, 3, 5, 7, 100, 1000}) {
    const auto made = plan(same(batch, 8, 8, 64, 160, 3, 1), {160, 64});
    CHECK(made.split_boxes * static_cast<int>(made.splits - 1) < made.boxes);
    CHECK(made.split_boxes * static_cast<int>(made.splits) >= made.boxes);
    CHECK((made.splits == 1 || made.split_boxes >= 8));
  }
  // Filled channels.
  const auto narrow = plan(same(1, 8, 8, 3, 5, 3, 1), {128, 32});
  CHECK(narrow.filled_c == 8);
  CHECK(narrow.tap_boxes == 1);
  CHECK(narrow.tile_blocks == 2);
  CHECK(narrow.sums().size() == std::int64_t{narrow.splits} * 5 * 9 * 8);
}

TEST_CASE("the time of a gradient in the weight by warpgroups is what it needs of the device") {
  Arch arch = sm_90;
  arch.clock = 1.0;
  // A multiprocessor has one block, of 94 boxes of four products of 256 x 160 x 16.
  const Conv2dShape wide = same(128, 32, 32, 160, 160, 3, 1);
  const ConvTime time = wgmma_weight_time(wide, {160, 32}, arch);
  CHECK(time.tensor == 94.0 * 4 * 256 * 160 * 16 / 2048);
  CHECK(time.shared == 94.0 * (4 * 4 * 224 * 32 + 53248) / 128);
  CHECK(time.l2 == 6.0 * 2048 * 53248 / 5120 + 8.0 * 22 * 160 * 1440 / 5120);
  CHECK(time.dram == weight_gradient_dram(wide, 8, arch));
}

TEST_CASE("the boxes of tensors of a gradient in the weight") {
  alignas(16) static const std::uint16_t memory[8] = {};
  const Conv2dShape strided = same(5, 16, 16, 72, 100, 3, 2);
  for (const Tile& tile : wgmma_weight_tiles) {
    const auto boxes = ConvWgmmaWeightBoxes::make(strided, tile, memory, memory);
    for (const TensorBox& one : boxes.x.boxes) {
      CHECK_NOTHROW(one.check());
      CHECK(one.box[0] == tile.box_channels);
      CHECK(one.swizzle == 2 * tile.box_channels);
      CHECK(one.box_bytes() == boxes.dy.box_bytes());
    }
    CHECK_NOTHROW(boxes.dy.check());
    CHECK(boxes.dy.size[0] == 104);
    CHECK(boxes.dy.stride[3] == 8 * 8 * 104 * 2);
    CHECK(boxes.x.boxes[3].stride[1] == 2 * 72 * 2);
  }
}

TEST_CASE("limits of plans: gradients in weights by warpgroups") {
  const auto plan = [](const Conv2dShape& s) { ConvWgmmaWeightPlan::make(s, {128, 64}); };
  const auto padded = [](Padding h, Padding w) {
    return with_padding(same(1, 4, 4, 8, 8, 1, 1), h, w);
  };
  CHECK_FAILS(ConvWgmmaWeightPlan::make(same(1, 8, 8, 8, 8, 3, 1), {160, 16}),
              "no kernel of such a tile");
  CHECK_FAILS(plan({1, 2, 2, 8, 8, 3, 3, 1, {}, {}}), "larger than the padded image");
  check({
      {"images, none", [&](auto n) { plan(same(n, 4, 4, 8, 8, 1, 1)); }, 1, 0, "no image"},
      {"stride", [&](auto n) { plan(same(1, 12, 12, 8, 8, 1, n)); }, 2, 3, "stride"},
      {"height of images with stride 2", [&](auto n) { plan(same(1, n, 4, 8, 8, 1, 2)); }, 6, 7,
       "even height"},
      {"width of images with stride 2", [&](auto n) { plan(same(1, 4, n, 8, 8, 1, 2)); }, 2, 1,
       "two columns"},
      {"columns of y", [&](auto n) { plan(same(1, 4, n, 8, 8, 1, 1)); }, 64, 65, "64 pixels"},
      {"height", [&](auto n) { plan(same(1, n, 1, 8, 8, 1, 1)); }, 32767, 32768, "32767"},
      {"above",
       [&](auto n) {
         plan(padded({n, 0}, {0, 0}));
       },
       32763, 32764, "32767"},
      {"left",
       [&](auto n) {
         plan(with_padding({1, 4, 4, 8, 8, 1, n, 1, {}, {}}, {0, 0}, {n, 0}));
       },
       32767, 32768, "32767"},
      {"channels of x", [&](auto n) { plan(same(1, 1, 1, n, 1, 1, 1)); }, two_to_the(30),
       two_to_the(30) + 1, "2^30 elements"},
      {"weight", [&](auto n) { plan(same(1, 1, 1, 1024, n, 1, 1)); }, two_to_the(20),
       two_to_the(20) + 1, "2^30 elements"},
      {"filled weight", [&](auto n) { plan(same(1, 1, 1, n, two_to_the(20), 1, 1)); }, 1024, 1025,
       "2^30 elements"},
      {"images", [&](auto n) { plan(same(n, 1, 1, 8, 8, 1, 1)); }, two_to_the(30),
       two_to_the(30) + 1, "2^30 boxes"},
      {"boxes", [&](auto n) { plan(same(n, 64, 64, 8, 8, 1, 1)); }, two_to_the(24),
       two_to_the(24) + 1, "2^30 boxes"},
  });
}

}  // namespace
}  // namespace pixeldp::kernels
