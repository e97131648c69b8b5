#include "kernels/arch.hpp"

#include <algorithm>
#include <iterator>
#include <string>

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

TEST_CASE("of a device that is not known, only the rate of its tensor cores is guessed") {
  const auto seen_as = [](int capability) {
    Arch arch = sm_89;
    arch.capability = capability;
    const WithSettings with(arch);
    return arch_of(emulated);
  };
  CHECK(seen_as(87).tensor_products == sm_86.tensor_products);
  CHECK(seen_as(120).tensor_products == sm_90.tensor_products);
  CHECK(seen_as(120).multiprocessors == sm_89.multiprocessors);
  CHECK(seen_as(120).shared_per_block == sm_89.shared_per_block);
  CHECK_FAILS(seen_as(75), "sm_75, older than the kernels' sm_80");
}

TEST_CASE("the tiles of convolutions, of networks and devices") {
  struct Layer {
    const char* name;
    std::int64_t rows, side, channels;
    std::string tiles;  // the places in conv_tiles, for each of known_archs
  };
  const Layer layers[] = {{"MNIST CNN, second convolution", 128, 7, 64, "3133"},
                          {"MNIST CNN, dense layer", 128, 1, 1024, "3333"},
                          {"WRN-28-10, first group", 64, 32, 160, "1211"},
                          {"WRN-28-10, second group", 64, 16, 320, "1110"},
                          {"WRN-28-10, third group", 64, 8, 640, "1031"},
                          {"WRN-28-10, third group, few rows", 16, 8, 640, "1111"},
                          {"WRN-16-4, first group", 64, 32, 64, "1111"},
                          {"WRN-16-4, second group", 64, 16, 128, "3000"},
                          {"WRN-16-4, third group", 64, 8, 256, "0011"},
                          {"WRN-16-4, third group, few rows", 16, 8, 256, "3333"}};
  for (const Layer& layer : layers) {
    CAPTURE(layer.name);
    std::string chosen;
    for (const Arch& arch : known_archs) {
      const ConvTile tile =
          choose_conv_tile(layer.rows * layer.side * layer.side, layer.channels, arch);
      chosen += std::to_string(std::ranges::find(conv_tiles, tile) - std::begin(conv_tiles));
    }
    CHECK(chosen == layer.tiles);
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
    CHECK(plan(arch, 16).shape.draws == 16);
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
