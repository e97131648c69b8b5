#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/convolution_wgmma.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/throws_error.hpp"

/// Which convolutions warpgroups make, and by which boxes of tensors.
namespace pixeldp::kernels {
namespace {

using Bits = std::uint16_t;
using reference::same;

TEST_CASE("which convolutions warpgroups make") {
  const auto chosen = [](const Conv2dShape& s, const Arch& arch = sm_90) {
    return choose_wgmma_channels(ConvPass::forward(s, 8), arch);
  };
  const Conv2dShape wide = same(1, 32, 32, 160, 160, 3, 1);
  CHECK(chosen(wide) == 160);
  for (const Arch& arch : {sm_80, sm_86, sm_89}) CHECK(chosen(wide, arch) == 0);
  Arch later = sm_90;
  later.capability = 100, later.warpgroup_products = false;
  CHECK(chosen(wide, later) == 0);
  // WRN-28-10: all that follow the first group's noise, strides and shortcuts among them.
  CHECK(chosen(same(7, 32, 32, 160, 320, 3, 2)) == 160);
  CHECK(chosen(same(7, 32, 32, 160, 320, 1, 2)) == 160);
  CHECK(chosen(same(7, 16, 16, 320, 320, 3, 1)) == 160);
  CHECK(chosen(same(7, 8, 8, 640, 640, 3, 1)) == 160);
  CHECK(chosen(same(7, 32, 32, 16, 160, 3, 1)) == 0);  // fewer channels than a step
  CHECK(chosen(same(1, 32, 32, 72, 160, 3, 1)) == 0);  // no multiple of 16
  // Channels of y: tiles of 128 where they are fewer in all.
  const std::pair<int, int> fitting[] = {{128, 128}, {256, 128}, {512, 128}, {640, 160},
                                         {64, 0},    {95, 0},    {96, 128},  {120, 128},
                                         {121, 128}, {129, 160}, {192, 128}, {239, 128},
                                         {241, 128}, {260, 160}, {1000, 128}};
  for (const auto& pair : fitting) {
    CAPTURE(pair.first);
    CHECK(chosen(same(1, 16, 16, 64, pair.first, 3, 1)) == pair.second);
  }
  // Pixels: boxes of whole rows that are three quarters of a tile.
  CHECK(chosen(same(1, 56, 56, 64, 128, 3, 1)) == 128);  // 4 rows
  CHECK(chosen(same(1, 28, 28, 64, 128, 3, 1)) == 128);  // 4 boxes of 7
  CHECK(chosen(same(1, 14, 14, 64, 128, 3, 1)) == 128);  // 196
  CHECK(chosen(same(1, 7, 7, 64, 128, 3, 1)) == 128);    // 5 images
  CHECK(chosen(same(1, 13, 13, 64, 128, 3, 1)) == 0);    // 169
  CHECK(chosen(same(1, 256, 256, 64, 128, 3, 1)) == 128);
  CHECK(chosen(same(1, 2, 257, 64, 128, 3, 1)) == 0);
  CHECK(chosen(same(1, 4, 8, 64, 128, 3, 1)) == 128);
  CHECK(chosen(same(1, 5, 6, 64, 128, 3, 1)) == 0);  // 30 pixels
  // Strides.
  CHECK(chosen(same(1, 32, 31, 64, 128, 3, 2)) == 128);
  CHECK(chosen(same(1, 31, 32, 64, 128, 3, 2)) == 0);
  CHECK(chosen(same(1, 48, 48, 64, 128, 3, 3)) == 0);
  // The batch does not count.
  for (const std::int64_t batch : {0, 1, 3, 1000})
    CHECK(chosen(same(batch, 8, 8, 64, 160, 3, 1)) == 160);
  // Classes of gradients that no tap reaches.
  for (const ConvPass& pass : ConvPass::backward_data(same(1, 32, 32, 128, 128, 1, 2), 8))
    CHECK(choose_wgmma_channels(pass, sm_90) == (pass.kernel_h * pass.kernel_w > 0 ? 128 : 0));
}

TEST_CASE("the box of pixels and the plan of a convolution by warpgroups") {
  const auto box = [](std::int64_t h, std::int64_t w) {
    const WgmmaBox made = WgmmaBox::of(h, w);
    return std::vector{made.w, made.h, made.images};
  };
  CHECK(box(32, 32) == std::vector{32, 8, 1});
  CHECK(box(16, 16) == std::vector{16, 16, 1});
  CHECK(box(8, 8) == std::vector{8, 8, 4});
  CHECK(box(28, 28) == std::vector{28, 7, 1});
  CHECK(box(10, 100) == std::vector{100, 2, 1});
  CHECK(box(1, 1) == std::vector{1, 1, 256});
  CHECK(WgmmaBox::of(1, 257).pixels() == 0);

  alignas(16) const float y[8] = {};
  const auto plan = [&](const Conv2dShape& s, const void* to, int channels = 160) {
    return ConvWgmmaPlan::make(ConvPass::forward(s, 8), channels, sm_90, {}, to, sizeof(float));
  };
  const ConvWgmmaPlan wide = plan(same(5, 8, 8, 160, 480, 3, 1), y);
  CHECK(wide.blocks == 2 * 3);
  CHECK(wide.chunks == 3);
  CHECK(wide.last_products == 2);
  CHECK(wide.step_bytes == (256 + 160) * 128);
  CHECK(wide.vectorised);
  CHECK_FALSE(plan(same(5, 8, 8, 160, 160, 3, 1), y + 1).vectorised);
  CHECK(plan(same(0, 8, 8, 160, 160, 3, 1), y).blocks == 0);
  CHECK_FAILS(plan(same(5, 8, 8, 160, 160, 3, 1), y, 128), "no kernel of such a tile");
  CHECK_FAILS(plan(same(5, 8, 8, 160, 160, 3, 1), y, 0), "5 images 8x8x160 to 8x8x160");
  CHECK_FAILS(plan(same(1, 40000, 32, 64, 160, 3, 1), y), "32767");
  CHECK_FAILS(plan(same(std::int64_t{1} << 31, 32, 32, 64, 160, 3, 1), y), "2^30 tiles");
  CHECK_FAILS(plan(same(std::int64_t{1} << 27, 32, 32, 64, 480, 3, 1), y), "2^30 tiles");
  CHECK_FAILS(plan(same(1, 32, 32, 1 << 21, 160, 3, 1), y), "2^30 values");
  CHECK_FAILS(plan(same(1, 16384, 256, 64, 320, 3, 1), y), "2^30 values");
  CHECK_FAILS(ConvWgmmaPlan::make(ConvPass::forward(same(1, 8, 8, 64, 160, 3, 1), 8), 160, sm_90,
                                  {.next = reinterpret_cast<Bits*>(16)}, y, 4),
              "no scale or no shift");

  // Clusters: the batch that has an even number of boxes, or channels of two tiles.
  CHECK(wide.shared == WgmmaShared::weight);
  CHECK(wide.cluster == 2);
  CHECK(plan(same(4, 8, 8, 160, 160, 3, 1), y).cluster == 1);
  const ConvWgmmaPlan pair = plan(same(1, 16, 16, 160, 320, 3, 1), y);
  CHECK(pair.shared == WgmmaShared::x);
  CHECK(pair.half.h == 8);
  CHECK(pair.blocks == 2);
  // No more blocks than multiprocessors, and whole clusters; each its tiles. But for one step.
  const auto blocks = [&](const Conv2dShape& s, int multiprocessors) {
    Arch arch = sm_90;
    arch.multiprocessors = multiprocessors;
    return ConvWgmmaPlan::make(ConvPass::forward(s, 8), 160, arch, {}, y, sizeof(float)).blocks;
  };
  CHECK(plan(same(512, 32, 32, 160, 160, 3, 1), y).tiles == 2048);
  CHECK(plan(same(512, 32, 32, 160, 160, 3, 1), y).blocks == 132);
  CHECK(blocks(same(4, 16, 16, 160, 160, 3, 1), 3) == 2);
  CHECK(blocks(same(5, 16, 16, 160, 160, 3, 1), 3) == 3);
  CHECK(blocks(same(4, 16, 16, 160, 160, 3, 1), 1) == 2);
  CHECK(blocks(same(4, 16, 16, 64, 160, 1, 1), 2) == 4);
  const auto halves = ConvWgmmaBoxes::make(ConvPass::forward(same(1, 16, 16, 160, 320, 3, 1), 8),
                                           160, WgmmaShared::x, TensorBox::bf16_bytes, y, y);
  CHECK(halves.x.boxes[0].box_bytes() + halves.weight.box_bytes() == (128 + 160) * 128);
  CHECK(ConvWgmmaBoxes::make(ConvPass::forward(same(5, 8, 8, 160, 480, 3, 1), 8), 160,
                             WgmmaShared::weight, TensorBox::bf16_bytes, y, y)
            .weight.box[2] == 80);

  // With stride 2, the pixels of odd rows and columns begin at the second.
  const ConvPass strided = ConvPass::forward(same(2, 16, 15, 64, 160, 3, 2), 8);
  const auto boxes =
      ConvWgmmaBoxes::make(strided, 160, WgmmaShared::nothing, TensorBox::bf16_bytes, y, y);
  CHECK(boxes.x.boxes[3].address == reinterpret_cast<const std::byte*>(y) + (15 + 1) * 128);
  CHECK(boxes.x.boxes[3].size[1] == 7);
  CHECK(boxes.x.boxes[3].size[2] == 8);
  CHECK(boxes.x.boxes[0].size[1] == 8);
  CHECK(boxes.x.boxes[0].stride[1] == 2 * 128);
  CHECK(boxes.x.boxes[0].stride[2] == 2 * 15 * 128);
  CHECK(boxes.x.boxes[0].stride[3] == 16 * 15 * 128);
  CHECK(boxes.weight.size[1] == 9);
  for (const TensorBox& one : boxes.x.boxes) CHECK_NOTHROW(one.check());
}

TEST_CASE("blocks of a cluster share what saves the most bytes of the L2 cache") {
  const auto half = [](std::int64_t h, std::int64_t w) {
    const WgmmaBox made = WgmmaBox::of(h, w).half();
    return std::vector{made.w, made.h, made.images};
  };
  const std::vector none = {0, 0, 0};
  CHECK(half(32, 32) == std::vector{32, 4, 1});
  CHECK(half(8, 8) == std::vector{8, 8, 2});
  CHECK(half(28, 28) == none);  // seven rows
  CHECK(half(14, 14) == none);  // 98 pixels
  CHECK(half(7, 7) == none);    // five images

  const auto bytes = [](const Conv2dShape& s, WgmmaShared shared) {
    return wgmma_pair_bytes(ConvPass::forward(s, 8), 160, shared);
  };
  const auto chosen = [](const Conv2dShape& s, int channels = 160) {
    return choose_wgmma_shared(ConvPass::forward(s, 8), channels);
  };
  const Conv2dShape middle = same(4, 16, 16, 320, 320, 3, 1);
  CHECK(bytes(middle, WgmmaShared::nothing) == (512 + 320) * 128);
  CHECK(bytes(middle, WgmmaShared::x) == (256 + 320) * 128);
  CHECK(bytes(middle, WgmmaShared::weight) == (512 + 160) * 128);
  CHECK(chosen(middle) == WgmmaShared::x);
  CHECK(chosen(same(7, 8, 8, 640, 640, 3, 1)) == WgmmaShared::x);
  CHECK(chosen(same(2, 14, 14, 64, 320, 3, 1)) == WgmmaShared::weight);  // pixels have no half
  CHECK(chosen(same(1, 32, 32, 160, 160, 3, 1)) == WgmmaShared::weight);
  CHECK(chosen(same(3, 16, 16, 160, 160, 3, 1)) == WgmmaShared::nothing);
  CHECK(chosen(same(2, 16, 16, 64, 480, 3, 1)) == WgmmaShared::weight);
  CHECK(chosen(same(1, 28, 28, 64, 128, 3, 1), 128) == WgmmaShared::weight);
  CHECK(bytes(same(3, 16, 16, 64, 480, 3, 1), WgmmaShared::x) == 0);
  CHECK(bytes(same(3, 16, 16, 64, 480, 3, 1), WgmmaShared::weight) == 0);
  CHECK_FAILS(bytes(middle, static_cast<WgmmaShared>(3)), "not 3");
}

TEST_CASE("the time of a pass by warpgroups is what it needs of the device") {
  // Two boxes of 256 pixels and two tiles of channels; 9 taps of 96 channels, two steps each.
  const ConvPass pass = ConvPass::forward(same(2, 16, 16, 96, 320, 3, 1), 8);
  Arch arch{.multiprocessors = 4,
            .tensor_products = 1024,
            .int8_products = 2048,
            .clock = 1.0,
            .l2_bytes_per_clock = 128,
            .dram_bandwidth = 8.0};
  const ConvTime time = wgmma_time(pass, 8, 160, arch);
  CHECK(time.tensor == 256.0 * 160 * 9 * 96 / 1024);
  CHECK(time.issue == 9.0 * 6 * 4 * 4 * 17 / 4);  // four products of 64 rows, of four warps
  CHECK(time.shared == (9.0 * 6 * 4 * 7168 + 9 * 2 * 416 * 128) / 128);
  CHECK(time.l2 == 9.0 * 96 * 2 * (2 * 256 + 4 * 160) / 128);  // each x by two blocks
  CHECK(time.dram == 2.0 * (512 * 96 + 320 * 9 * 96 + 512 * 320) / 8);
  // Of bytes a tap is three products of 32, the last step of which is not full.
  const ConvPass bytes = ConvPass::forward(same(2, 16, 16, 96, 320, 3, 1), 16);
  const ConvTime int8 = wgmma_time(bytes, 16, 160, arch);
  CHECK(2.0 * int8.tensor == time.tensor);
  CHECK(2.0 * int8.issue == time.issue);
  CHECK(int8.shared == (9.0 * 3 * 4 * 7168 + 9 * 1 * 416 * 128) / 128);
  CHECK(2.0 * int8.l2 == time.l2);
  CHECK(2.0 * int8.dram == time.dram);
  arch.multiprocessors = 3;  // one has two tiles
  CHECK(wgmma_time(pass, 8, 160, arch).tensor == 2.0 * time.tensor);
  CHECK(wgmma_time(pass, 8, 160, arch).l2 ==
        2.0 * 9 * 96 * 416 * 2 / 64);  // what comes to that one
}

TEST_CASE("a tensor map refuses what the hardware refuses, by name") {
  alignas(16) static const Bits memory[16] = {};
  const TensorBox right = {.address = memory,
                           .rank = 3,
                           .size = {96, 7, 5},
                           .stride = {2, 192, 1344},
                           .box = {64, 7, 2}};
  CHECK_NOTHROW(right.check());
  CHECK(right.box_bytes() == 64 * 7 * 2 * 2);
  const auto refuses = [&](const std::string& why, auto change) {
    TensorBox box = right;
    change(box);
    CHECK_FAILS(box.check(), why);
  };
  refuses("rank 6", [](TensorBox& b) { b.rank = 6; });
  refuses("rank 0", [](TensorBox& b) { b.rank = 0; });
  refuses("aligned to 16 bytes", [](TensorBox& b) { b.address = memory + 4; });
  refuses("a swizzle of 16 bytes", [](TensorBox& b) { b.swizzle = 16; });
  refuses("side by side", [](TensorBox& b) { b.stride[0] = 4; });
  refuses("side by side", [](TensorBox& b) { b.element_bytes = 1; });
  refuses("elements of 4 bytes", [](TensorBox& b) { b.element_bytes = 4; });
  refuses("dimension 1 must have 1 to 2^32", [](TensorBox& b) { b.size[1] = 0; });
  refuses("dimension 2 must have 1 to 2^32",
          [](TensorBox& b) { b.size[2] = (std::int64_t{1} << 32) + 1; });
  refuses("dimension 1 of the box", [](TensorBox& b) { b.box[1] = 257; });
  refuses("dimension 2 of the box", [](TensorBox& b) { b.box[2] = 0; });
  refuses("a stride of 200 bytes in dimension 1", [](TensorBox& b) { b.stride[1] = 200; });
  refuses("below 2^40", [](TensorBox& b) { b.stride[2] = std::int64_t{192} << 33; });
  refuses("strides of 192 and 1360 bytes", [](TensorBox& b) { b.stride[2] = 1360; });
  refuses("a multiple of 16 bytes", [](TensorBox& b) { b.box[0] = 60, b.swizzle = 0; });
  refuses("a row of the box has 64 bytes, and the swizzle is of 128",
          [](TensorBox& b) { b.box[0] = 32; });
  refuses("boxes 32x7x2 of a tensor 96x7x5 in bf16", [](TensorBox& b) { b.box[0] = 32; });
  const TensorBox bytes = {.address = memory,
                           .rank = 2,
                           .size = {96, 7},
                           .stride = {1, 96},
                           .box = {128, 7},
                           .element_bytes = 1};
  CHECK_NOTHROW(bytes.check());
  CHECK(bytes.box_bytes() == 128 * 7);
}

}  // namespace
}  // namespace pixeldp::kernels
