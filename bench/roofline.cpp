#include "bench/roofline.hpp"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "bench/cuda/kernel_cases.hpp"
#include "engine/error.hpp"
#include "kernels/cuda/convolution_int8.hpp"
#include "kernels/cuda/convolution_weight_wgmma.hpp"
#include "kernels/cuda/convolution_wgmma.hpp"

namespace pixeldp::bench {
namespace {

using kernels::Arch, kernels::Conv2dShape, kernels::ConvPass, kernels::ConvTile, kernels::ConvTime;

constexpr int bf16_chunk = kernels::chunk_of<std::uint16_t>;

struct Layer {
  int times;  // in the network
  Conv2dShape shape;

  double operations() const { return 2.0 * product({shape.batch, shape.multiply_adds()}); }
};

/// Of WRN-28-10: all convolutions behind that of the noise.
std::vector<Layer> layers(std::int64_t rows) {
  return {{7, square_convolution(rows, 32, 160, 160, 3, 1)},
          {1, square_convolution(rows, 32, 160, 320, 3, 2)},
          {7, square_convolution(rows, 16, 320, 320, 3, 1)},
          {1, square_convolution(rows, 16, 320, 640, 3, 2)},
          {7, square_convolution(rows, 8, 640, 640, 3, 1)}};
}

constexpr double tera = 1e12;

/// How a GPU makes something of a layer: by which tiles, and in what time at the least.
struct Way {
  std::string tile;
  ConvTime time;
};

std::string name_of(int rows, int columns) { return fmt::format("{} x {}", rows, columns); }

std::string name_of(kernels::WgmmaShared shared) {
  switch (shared) {
    case kernels::WgmmaShared::nothing:
      return "";
    case kernels::WgmmaShared::x:
      return ", two share x";
    case kernels::WgmmaShared::weight:
      return ", two share weights";
  }
  fail("roofline: clusters share nothing, x or weight, not {}", static_cast<int>(shared));
}

Way by_warpgroups(const ConvPass& pass, int chunk, int channels, const Arch& arch) {
  return {name_of(kernels::WgmmaTile::pixels, channels) +
              name_of(kernels::choose_wgmma_shared(pass, channels)),
          kernels::wgmma_time(pass, chunk, channels, arch)};
}

Way by_mma(const ConvPass& pass, int chunk, const ConvTile& tile, const Arch& arch) {
  return {name_of(tile.m, tile.n), ConvTime::of(pass, chunk, tile, arch)};
}

Way in_bf16(const ConvPass& pass, const Arch& arch) {
  if (const int channels = kernels::choose_wgmma_channels(pass, arch))
    return by_warpgroups(pass, bf16_chunk, channels, arch);
  return by_mma(pass, bf16_chunk, kernels::choose_conv_tile(pass, bf16_chunk, arch), arch);
}

Way forward(const Conv2dShape& shape, const Arch& arch) {
  return in_bf16(ConvPass::forward(shape, bf16_chunk), arch);
}

Way forward_in_int8(const Conv2dShape& shape, const Arch& arch) {
  const ConvPass pass = ConvPass::forward(shape, kernels::int8_chunk);
  const auto [channels, tile] = kernels::Int8ConvKernel::choose(shape, arch);
  return channels > 0 ? by_warpgroups(pass, kernels::int8_chunk, channels, arch)
                      : by_mma(pass, kernels::int8_chunk, tile, arch);
}

/// One pass after the other.
Way gradient_in_x(const Conv2dShape& shape, const Arch& arch) {
  Way all;
  for (const ConvPass& pass : ConvPass::backward_data(shape, bf16_chunk)) {
    const Way way = in_bf16(pass, arch);
    all.time += way.time;
    if (all.tile.find(way.tile) == all.tile.npos)
      all.tile += (all.tile.empty() ? "" : "; ") + way.tile;
  }
  return all;
}

Way gradient_in_weight(const Conv2dShape& shape, const Arch& arch) {
  if (const auto tile = kernels::choose_wgmma_weight_tile(shape, arch); tile.exists())
    return {name_of(tile.rows, tile.channels), kernels::wgmma_weight_time(shape, tile, arch)};
  const ConvTile tile =
      kernels::ConvWeightPlan::tiles[kernels::ConvWeightPlan::make(shape, bf16_chunk).tile];
  return {name_of(tile.m, tile.n), kernels::weight_gradient_time(shape, bf16_chunk, arch)};
}

/// What is made of all layers.
struct Product {
  const char *name, *operands, *rows_are;
  int chunk;
  Way (*way)(const Conv2dShape& shape, const Arch& arch);
};

constexpr Product products[] = {
    {"in bf16", "bf16 added in fp32", "draws", bf16_chunk, forward},
    {"in int8", "bytes added in 32 bits", "draws", kernels::int8_chunk, forward_in_int8},
    {"gradients in x, in bf16", "bf16 added in fp32", "images", bf16_chunk, gradient_in_x},
    {"gradients in the weight, in bf16", "bf16 added in fp32", "images", bf16_chunk,
     gradient_in_weight}};

struct Gpu {
  std::string name;
  Arch arch;

  /// Operations per second of the tensor cores.
  double peak(int chunk) const {
    return 2.0 * arch.multiprocessors * kernels::products_per_clock(chunk, arch) * arch.clock;
  }
};

std::string line(const Layer& layer, const Way& way, double peak) {
  const ConvTime& time = way.time;
  const kernels::Conv2dShape& s = layer.shape;
  const std::pair<const char*, double> limits[] = {{"tensor", time.tensor},
                                                   {"issue", time.issue},
                                                   {"shared memory", time.shared},
                                                   {"L2", time.l2},
                                                   {"DRAM", time.dram}};
  std::string text = fmt::format("| {} x {}x{}x{} to {}, stride {} | {} |", layer.times, s.in_h,
                                 s.in_w, s.in_c, s.out_c, s.stride, way.tile);
  const auto* lowest = std::begin(limits);
  for (const auto& limit : limits) {
    text += fmt::format(" {:.0f} |", layer.operations() / limit.second / tera);
    if (limit.second > lowest->second) lowest = &limit;
  }
  return text + fmt::format(" {}, {:.0f} % |\n", lowest->first,
                            100.0 * layer.operations() / lowest->second / peak);
}

std::string table(const Gpu& gpu, const Product& made, const std::vector<Layer>& layers) {
  const double peak = gpu.peak(made.chunk);
  std::string text = fmt::format(
      "\n### {}, {}\n\nPeak: {:.0f} TFLOP/s, {}.\n\n"
      "| layer | tile | tensor | issue | shared memory | L2 | DRAM | lowest, of the peak |\n"
      "|---|---|---|---|---|---|---|---|\n",
      gpu.name, made.name, peak / tera, made.operands);
  double operations = 0.0, seconds = 0.0;
  for (const Layer& layer : layers) {
    const Way way = made.way(layer.shape, gpu.arch);
    text += line(layer, way, peak);
    operations += layer.times * layer.operations();
    seconds += layer.times * way.time.seconds();
  }
  return text + fmt::format(
                    "\nAll of them, one after the other: at most {:.0f} TFLOP/s, {:.0f} % of the "
                    "peak, {:.0f} {}/s.\n",
                    operations / seconds / tera, 100.0 * operations / seconds / peak,
                    static_cast<double>(layers.front().shape.batch) / seconds, made.rows_are);
}

}  // namespace

std::string roofline(std::int64_t rows) {
  const Gpu gpus[] = {{"A100 (SXM, 80 GB)", kernels::sm_80},
                      {"GeForce RTX 4090", kernels::rtx_4090},
                      {"H100 (SXM)", kernels::sm_90}};
  std::string text = fmt::format(
      "# What the convolutions of WRN-28-10 can reach\n\n"
      "Made by `build/bench/bench roofline{} > docs/roofline.md`. **All figures are computed, none "
      "is measured**: no GPU\nhas run these kernels. They are ceilings in TFLOP/s (of bytes, "
      "10^12 operations per second) of the kernels by\n`mma.sync` "
      "(`kernels/cuda/convolution_gemm.cuh`, `convolution_weight.cu`) and, on H100, by `wgmma` "
      "(`convolution_wgmma.cu`,\n`convolution_weight_wgmma.cu`), {} rows at a time, with the tile "
      "that the plan chooses and what two\nblocks of a cluster share; a kernel is at most as fast "
      "as the lowest. A training step takes the first, the third and the\nfourth table of a GPU."
      "\n\n"
      "- tensor: products of whole tiles, edges among them, on the multiprocessor with the most "
      "blocks\n"
      "- issue: machine instructions of the main loop, as compiled, by four per clock\n"
      "- shared memory: what `ldmatrix` or `wgmma` read and copies write, by 128 bytes per clock\n"
      "- L2: operands, each tap anew, by the rate of the cache (what two blocks share is read "
      "once) and 64 bytes per\n  clock of a multiprocessor; partial sums of gradients in the "
      "weight, written and read\n"
      "- DRAM: x, weight and y once, of the type of the operands; residuals and what follows are "
      "not counted\n\n"
      "Clocks are the highest of the data sheets, which no card holds under such a load; the L2 "
      "cache's rate is published\nfor A100 alone (`kernels/arch.hpp` says what is assumed for the "
      "others). Latencies, barriers, what comes before and\nafter the main loop, and how evenly "
      "blocks end are left out. Of H100's peak, published microbenchmarks\ngive `mma.sync` less "
      "than two thirds.\n",
      rows == roofline_rows ? "" : fmt::format(" --rows {}", rows), rows);
  for (const Gpu& gpu : gpus) {
    text += fmt::format("\n## {}\n", gpu.name);
    for (const Product& one : products) text += table(gpu, one, layers(rows));
  }
  return text;
}

}  // namespace pixeldp::bench
