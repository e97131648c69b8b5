#include "bench/roofline.hpp"

#include <iterator>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "bench/cuda/kernel_cases.hpp"
#include "engine/error.hpp"
#include "kernels/cuda/convolution_gemm.hpp"
#include "kernels/cuda/convolution_wgmma.hpp"

namespace pixeldp::bench {
namespace {

using kernels::Arch, kernels::ConvPass, kernels::ConvTile, kernels::ConvTime;

constexpr int chunk = kernels::chunk_of<std::uint16_t>;

struct Layer {
  int times;  // in the network
  kernels::Conv2dShape shape;

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

struct Gpu {
  std::string name;
  Arch arch;

  /// Operations per second of the tensor cores.
  double peak() const { return 2.0 * arch.multiprocessors * arch.tensor_products * arch.clock; }
};

constexpr double tera = 1e12;

/// How a GPU makes a layer.
struct Way {
  std::string tile;
  ConvTime time;

  Way(const Layer& layer, const Arch& arch) {
    const ConvPass pass = ConvPass::forward(layer.shape, chunk);
    if (const int channels = kernels::choose_wgmma_channels(pass, arch)) {
      tile = fmt::format("{} x {}{}", kernels::WgmmaTile::pixels, channels,
                         shared_name(kernels::choose_wgmma_shared(pass, channels)));
      time = kernels::wgmma_time(pass, channels, arch);
    } else {
      const ConvTile chosen = kernels::choose_conv_tile(pass, chunk, arch);
      tile = fmt::format("{} x {}", chosen.m, chosen.n);
      time = ConvTime::of(pass, chunk, chosen, arch);
    }
  }

  static std::string shared_name(kernels::WgmmaShared shared) {
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

std::string table(const Gpu& gpu, const std::vector<Layer>& layers) {
  std::string text = fmt::format(
      "\n## {}\n\nPeak: {:.0f} TFLOP/s, bf16 added in fp32.\n\n"
      "| layer | tile | tensor | issue | shared memory | L2 | DRAM | lowest, of the peak |\n"
      "|---|---|---|---|---|---|---|---|\n",
      gpu.name, gpu.peak() / tera);
  double operations = 0.0, seconds = 0.0;
  for (const Layer& layer : layers) {
    const Way way(layer, gpu.arch);
    text += line(layer, way, gpu.peak());
    operations += layer.times * layer.operations();
    seconds += layer.times * way.time.seconds();
  }
  return text + fmt::format(
                    "\nAll of them, one after the other: at most {:.0f} TFLOP/s, {:.0f} % of the "
                    "peak, {:.0f} draws/s.\n",
                    operations / seconds / tera, 100.0 * operations / seconds / gpu.peak(),
                    static_cast<double>(layers.front().shape.batch) / seconds);
}

}  // namespace

std::string roofline(std::int64_t rows) {
  const Gpu gpus[] = {{"A100 (SXM, 80 GB)", kernels::sm_80},
                      {"GeForce RTX 4090", kernels::rtx_4090},
                      {"H100 (SXM)", kernels::sm_90}};
  std::string text = fmt::format(
      "# What the convolutions of WRN-28-10 can reach\n\n"
      "Made by `build/bench/bench roofline{} > docs/roofline.md`. **All figures are computed, none "
      "is measured**: no GPU\nhas run these kernels. They are ceilings in TFLOP/s of the "
      "`mma.sync` kernel (`kernels/cuda/convolution_gemm.cuh`) and,\non H100, of that of `wgmma` "
      "(`kernels/cuda/convolution_wgmma.cu`), in bf16, {} rows at a time, with the tile that the\n"
      "plan chooses and what two blocks of a cluster share; a kernel is at most as fast as the "
      "lowest.\n\n"
      "- tensor: products of whole tiles, edges among them, on the multiprocessor with the most "
      "blocks\n"
      "- issue: machine instructions of the main loop, as compiled, by four per clock\n"
      "- shared memory: what `ldmatrix` or `wgmma` read and copies write, by 128 bytes per clock\n"
      "- L2: operands, each tap anew, by the rate of the cache (what two blocks share is read "
      "once) and 64 bytes per\n  clock of a multiprocessor\n"
      "- DRAM: x, weight and y once; residuals and what follows are not counted\n\n"
      "Clocks are the highest of the data sheets, which no card holds under such a load; the L2 "
      "cache's rate is published\nfor A100 alone (`kernels/arch.hpp` says what is assumed for the "
      "others). Latencies, barriers, what comes before and\nafter the main loop, and how evenly "
      "blocks end are left out. Of H100's peak, published microbenchmarks\ngive `mma.sync` less "
      "than two thirds.\n",
      rows == roofline_rows ? "" : fmt::format(" --rows {}", rows), rows);
  for (const Gpu& gpu : gpus) text += table(gpu, layers(rows));
  return text;
}

}  // namespace pixeldp::bench
