#include "bench/roofline.hpp"

#include <iterator>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "bench/cuda/kernel_cases.hpp"
#include "kernels/cuda/convolution_gemm.hpp"

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

std::string line(const Layer& layer, const ConvTile& tile, const ConvTime& time, double peak) {
  const kernels::Conv2dShape& s = layer.shape;
  const std::pair<const char*, double> limits[] = {{"tensor", time.tensor},
                                                   {"issue", time.issue},
                                                   {"shared memory", time.shared},
                                                   {"L2", time.l2},
                                                   {"DRAM", time.dram}};
  std::string text = fmt::format("| {} x {}x{}x{} to {}, stride {} | {} x {} |", layer.times,
                                 s.in_h, s.in_w, s.in_c, s.out_c, s.stride, tile.m, tile.n);
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
    const ConvPass pass = ConvPass::forward(layer.shape, chunk);
    const ConvTile tile = kernels::choose_conv_tile(pass, chunk, gpu.arch);
    const ConvTime time = ConvTime::of(pass, chunk, tile, gpu.arch);
    text += line(layer, tile, time, gpu.peak());
    operations += layer.times * layer.operations();
    seconds += layer.times * time.seconds();
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
      "`mma.sync` "
      "kernel (`kernels/cuda/convolution_gemm.cu`) in\nbf16, {} rows at a time, with the tile that "
      "the plan chooses; a kernel is at most as fast as the lowest.\n\n"
      "- tensor: products of whole tiles, edges among them, on the multiprocessor with the most "
      "blocks\n"
      "- issue: machine instructions of the main loop, as compiled, by four per clock\n"
      "- shared memory: what `ldmatrix` reads and `cp.async` writes, by 128 bytes per clock\n"
      "- L2: operands, each tap anew, by the rate of the cache and 64 bytes per clock of a "
      "multiprocessor\n"
      "- DRAM: x, weight and y once; residuals and what follows are not counted\n\n"
      "Clocks are the highest of the data sheets, which no card holds under such a load; the L2 "
      "cache's rate is published\nfor A100 alone (`kernels/arch.hpp` says what is assumed for the "
      "others). Latencies, barriers, what comes before and\nafter the main loop, and how evenly "
      "blocks end are left out. On H100 the peak is that of `wgmma`, and published\n"
      "microbenchmarks give `mma.sync` less than two thirds of it.\n",
      rows == roofline_rows ? "" : fmt::format(" --rows {}", rows), rows);
  for (const Gpu& gpu : gpus) text += table(gpu, layers(rows));
  return text;
}

}  // namespace pixeldp::bench
