#include "kernels/arch.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "kernels/cuda/convolution_direct.hpp"
#include "kernels/cuda/convolution_gemm.hpp"
#include "kernels/cuda/draw_statistics.hpp"
#include "kernels/cuda/multi_draw.hpp"
#include "kernels/cuda/parseval.hpp"
#include "kernels/emulator/settings.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/throws_error.hpp"

/// What plans choose on devices that this machine has not, and that no result depends on it.
namespace pixeldp::kernels {
namespace {

using emulator::WithSettings, reference::same;

/// A device with just so much shared memory for a block.
Arch with_shared(std::size_t bytes) {
  Arch arch = sm_80;
  arch.shared_per_block = bytes;
  return arch;
}

constexpr Device emulated{DeviceKind::emulated};
const MultiDrawNetwork mnist{same(1, 14, 14, 32, 64, 5, 2), 1024, 10};

TEST_CASE("an architecture is what a device says of itself") {
  for (const Arch& arch : known_archs) {
    const WithSettings with(arch);
    CHECK(arch_of(emulated) == arch);
    CHECK(known_arch("here", std::to_string(arch.capability)).name() == arch.name());
  }
  CHECK(sm_86.name() == "sm_86");
  CHECK(least_shared_per_block == 99 * 1024);
  CHECK_FAILS(known_arch("here", "70"),
              "here: '70' is no known architecture; give one of 80 86 89 90");
  CHECK_FAILS(arch_of(Device{}), "device cpu");
}

TEST_CASE("a GPU makes plans as another, if it has as much shared memory") {
  CHECK(imitated(sm_90, "86") == sm_86);
  CHECK(imitated(sm_80, "80") == sm_80);
  CHECK_FAILS(imitated(sm_89, "80"), "sm_80 may take 166912 bytes of shared memory, and sm_89 has");
  CHECK_FAILS(imitated(sm_90, "A100"), "PIXELDP_ARCHITECTURE: 'A100'");
}

TEST_CASE("of a device that is not known, only rates are guessed") {
  const auto seen_as = [](int capability) {
    Arch arch = sm_89;
    arch.capability = capability;
    const WithSettings with(arch);
    return arch_of(emulated);
  };
  CHECK(seen_as(87).tensor_products == sm_86.tensor_products);
  CHECK(seen_as(120).tensor_products == sm_90.tensor_products);
  CHECK(seen_as(120).int8_products == sm_90.int8_products);
  CHECK(seen_as(120).clock == sm_90.clock);
  CHECK(seen_as(120).l2_bytes_per_clock == sm_90.l2_bytes_per_clock);
  CHECK(seen_as(120).dram_bandwidth == sm_90.dram_bandwidth);
  CHECK(seen_as(120).multiprocessors == sm_89.multiprocessors);
  CHECK(seen_as(120).shared_per_block == sm_89.shared_per_block);
  CHECK_FAILS(seen_as(75), "sm_75, older than the kernels' sm_80");
}

TEST_CASE("the tiles of convolutions, of networks and devices") {
  struct Layer {
    const char* name;
    Conv2dShape shape;
    std::string tiles;  // the places in conv_tiles, for each of known_archs
  };
  const Layer layers[] = {
      {"MNIST CNN, second convolution", same(128, 14, 14, 32, 64, 5, 2), "3133"},
      {"MNIST CNN, dense layer", same(128, 1, 1, 3136, 1024, 1, 1), "3333"},
      {"WRN-28-10, first group", same(64, 32, 32, 160, 160, 3, 1), "4444"},
      {"WRN-28-10, second group", same(64, 16, 16, 320, 320, 3, 1), "1144"},
      {"WRN-28-10, third group", same(64, 8, 8, 640, 640, 3, 1), "1044"},
      {"WRN-28-10, third group, few rows", same(16, 8, 8, 640, 640, 3, 1), "1111"},
      {"WRN-16-4, first group", same(64, 32, 32, 64, 64, 3, 1), "1111"},
      {"WRN-16-4, second group", same(64, 16, 16, 128, 128, 3, 1), "1000"},
      {"WRN-16-4, third group", same(64, 8, 8, 256, 256, 3, 1), "0011"},
      {"WRN-16-4, third group, few rows", same(16, 8, 8, 256, 256, 3, 1), "3333"}};
  for (const Layer& layer : layers) {
    CAPTURE(layer.name);
    std::string chosen;
    for (const Arch& arch : known_archs) {
      const ConvTile tile = choose_conv_tile(ConvPass::forward(layer.shape, 8), 8, arch);
      chosen += std::to_string(std::ranges::find(conv_tiles, tile) - std::begin(conv_tiles));
    }
    CHECK(chosen == layer.tiles);
  }
}

TEST_CASE("the time of a tile is what it needs of the device") {
  // 16 images of 4 x 8 pixels, 9 taps of 8 chunks: 18 steps. 4 x 2 blocks of 128 x 64.
  const ConvPass pass = ConvPass::forward(same(16, 4, 8, 64, 96, 3, 1), 8);
  const ConvTile tile{128, 64, 4, 2, 2, 4.0};
  Arch arch{.multiprocessors = 8,
            .tensor_products = 1024,
            .int8_products = 4096,
            .clock = 1.0,
            .l2_bytes_per_clock = 256,
            .dram_bandwidth = 8.0};
  const ConvTime time = ConvTime::of(pass, 8, tile, arch);
  CHECK(time.tensor == 18.0 * 128 * 64 * 32 / 1024);
  CHECK(time.issue == 18.0 * 2 * 8 * 8 * 4 / 4);        // mmas, four instructions each
  CHECK(time.shared == 18.0 * (384 + 192) * 64 / 128);  // two warps read each row
  CHECK(time.l2 == 18.0 * 8 * 192 * 64 / 256);          // of all blocks
  CHECK(time.dram == 2.0 * (512 * 64 + 96 * 576 + 512 * 96) / 8);
  CHECK(time.seconds() == time.dram);
  CHECK(time.sum() == time.tensor + time.issue + time.shared + time.l2 + time.dram);
  // tf32 has twice as many chunks, and takes twice as long.
  const ConvPass tf32 = ConvPass::forward(same(16, 4, 8, 64, 96, 3, 1), 4);
  CHECK(ConvTime::of(tf32, 4, tile, arch).tensor == 2.0 * time.tensor);
  CHECK(ConvTime::of(tf32, 4, tile, arch).dram == 2.0 * time.dram);
  // Bytes have half as many chunks, and are multiplied at a rate of their own.
  const ConvPass int8 = ConvPass::forward(same(16, 4, 8, 64, 96, 3, 1), 16);
  CHECK(ConvTime::of(int8, 16, tile, arch).tensor == 9.0 * 128 * 64 * 64 / 4096);
  CHECK(2.0 * ConvTime::of(int8, 16, tile, arch).issue == time.issue);
  CHECK(2.0 * ConvTime::of(int8, 16, tile, arch).dram == time.dram);
  CHECK_FAILS(products_per_clock(2, arch), "not 2");
  // Seven multiprocessors: one has two blocks. One block: a multiprocessor gets 64 bytes a clock.
  arch.multiprocessors = 7;
  CHECK(ConvTime::of(pass, 8, tile, arch).tensor == 2.0 * time.tensor);
  CHECK(ConvTime::of(pass, 8, tile, arch).l2 == time.l2);
  arch.multiprocessors = 1;
  CHECK(ConvTime::of(pass, 8, tile, arch).l2 == 18.0 * 8 * 192 * 64 / 64);
  arch.clock = 2.0;
  CHECK(ConvTime::of(pass, 8, tile, arch).l2 == 18.0 * 8 * 192 * 64 / 64 / 2);
}

TEST_CASE("peaks follow from the rates of data sheets") {
  const auto peak = [](const Arch& arch, int products) {
    return 2e-12 * arch.multiprocessors * products * arch.clock;
  };
  struct Sheet {
    Arch arch;
    double teraflops, tera_of_bytes;
  };
  for (const auto& [arch, teraflops, tera_of_bytes] :
       {Sheet{sm_80, 312.0, 624.0}, Sheet{sm_86, 149.7, 299.3}, Sheet{sm_89, 362.0, 733.0},
        Sheet{rtx_4090, 165.2, 660.6}, Sheet{sm_90, 989.4, 1978.9}}) {
    CAPTURE(teraflops);
    CHECK(std::abs(peak(arch, arch.tensor_products) / teraflops - 1.0) < 0.015);
    CHECK(std::abs(peak(arch, arch.int8_products) / tera_of_bytes - 1.0) < 0.015);
    CHECK(arch.l2_bytes_per_clock * arch.clock > 2.0 * arch.dram_bandwidth);
  }
}

TEST_CASE("how many channels the direct convolution sums at a time is the same on every device") {
  const Conv2dShape shapes[] = {same(128, 28, 28, 1, 32, 5, 2),      // MNIST CNN
                                same(128, 14, 14, 32, 64, 5, 2),     //
                                same(128, 32, 32, 3, 16, 3, 1),      // wide ResNets
                                same(128, 32, 32, 64, 64, 3, 1),     // of WRN-16-4
                                same(128, 32, 32, 160, 160, 3, 1)};  // of WRN-28-10
  const int chunks[] = {1, 11, 3, 33, 41};
  for (std::size_t i = 0; i < std::size(shapes); ++i) {
    CAPTURE(i);
    for (const Arch& arch : known_archs) {
      const DirectConvPlan plan = DirectConvPlan::make(shapes[i], nullptr, arch);
      CHECK(plan.chunk_c == chunks[i]);
      CHECK(plan.shared_bytes <= least_shared_per_block);
    }
  }
}

TEST_CASE("the largest kernels of the direct convolution are those that the device has room for") {
  const int largest[] = {35, 27, 27, 41};
  for (std::size_t i = 0; i < std::size(known_archs); ++i) {
    const Arch& arch = known_archs[i];
    const auto plan = [&](std::int64_t kernel, std::int64_t in_c = 1) {
      return DirectConvPlan::make(same(1, 64, 64, in_c, 32, kernel, 1), nullptr, arch);
    };
    CHECK(plan(largest[i]).shared_bytes <= arch.shared_per_block);
    CHECK(plan(largest[i], 3).chunk_c == 1);
    CHECK_FAILS(plan(largest[i] + 1), "direct kernel");
    CHECK_FAILS(plan(largest[i] + 1),
                arch.name() + " has " + std::to_string(arch.shared_per_block));
  }
  CHECK_FAILS(DirectConvPlan::make(same(1, 64, 64, 1, 32, 28, 1), nullptr, sm_86),
              "a block takes 106372 bytes of shared memory, and sm_86 has 101376");
}

TEST_CASE("the multi-draw kernel for MNIST does fewer draws at a time in less shared memory") {
  const auto plan = [](const Arch& arch, std::uint32_t draws, int block_draws = 0) {
    return MultiDrawGrid::plan(mnist, {.noise = {}, .draws = draws, .images = 1}, arch,
                               block_draws);
  };
  for (const Arch& arch : known_archs) {
    CAPTURE(arch.name());
    CHECK(MultiDrawGrid::supports(mnist, arch));
    const bool large = arch.shared_per_block > 160 * 1024;
    CHECK(plan(arch, 300).shape.draws == (large ? 32 : 16));
    CHECK(plan(arch, 300).draw_blocks == (large ? 10 : 19));
    CHECK(plan(arch, 300).shape.shared_bytes <= arch.shared_per_block);
    // Clusters, whatever the number of draws.
    CHECK(plan(arch, 16).shape.draws == (arch.warpgroup_products ? 32 : 16));
  }
  CHECK_FAILS(plan(sm_86, 300, 32),
              "then 1024 hidden units, 32 draws at a time: a block takes 163840"
              " bytes of shared memory, and sm_86 has 101376");
  CHECK(plan(with_shared(163840), 300).shape.draws == 32);
  CHECK(plan(with_shared(163839), 300).shape.draws == 16);
  CHECK(plan(with_shared(87552), 300).shape.draws == 16);
  CHECK_FAILS(plan(with_shared(87551), 300), "87552 bytes of shared memory");
  CHECK(MultiDrawGrid::supports(mnist, with_shared(87552)));
  CHECK_FALSE(MultiDrawGrid::supports(mnist, with_shared(87551)));

  for (const Arch& arch : {with_shared(87551), sm_86}) {
    const WithSettings with(arch);
    CHECK(multi_draw_supported(emulated, mnist) == (arch == sm_86));
  }
}

TEST_CASE("draw statistics take as many classes as the device has room for") {
  for (const Arch& arch : known_archs) {
    const std::int64_t most = arch.shared_per_block > 160 * 1024 ? 4096 : 1024;
    CHECK(StatisticsGrid::plan({33, 8, 10}, arch).blocks == 2);
    CHECK(StatisticsGrid::plan({33, 8, 1000}, arch).blocks == 3);
    CHECK(StatisticsGrid::plan({33, 8, most}, arch).shape.shared_bytes <= arch.shared_per_block);
    CHECK_FAILS(StatisticsGrid::plan({33, 8, most + 1}, arch),
                "draw statistics of " + std::to_string(most + 1) + " classes");
  }
  CHECK_FAILS(StatisticsGrid::plan({33, 8, 1025}, sm_89),
              "a block takes 164096 bytes of shared memory, and sm_89 has 101376");
  CHECK_NOTHROW(StatisticsGrid::plan({33, 8, 4096}, with_shared(164096)));
  CHECK_FAILS(StatisticsGrid::plan({33, 8, 4096}, with_shared(164095)), "164096");
}

TEST_CASE("a Parseval projection is one block where a block has room for it") {
  CHECK(ParsevalPlan::make(16, 27, sm_80).one_block);
  CHECK(ParsevalPlan::make(16, 27, sm_90).one_block);
  CHECK_FALSE(ParsevalPlan::make(16, 27, sm_86).one_block);
  CHECK_FALSE(ParsevalPlan::make(16, 27, sm_89).one_block);
  CHECK(ParsevalPlan::make(16, 27, with_shared(159744)).one_block);
  CHECK_FALSE(ParsevalPlan::make(16, 27, with_shared(159743)).one_block);
}

}  // namespace
}  // namespace pixeldp::kernels
