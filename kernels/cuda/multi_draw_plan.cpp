#include <algorithm>
#include <span>

#include "engine/error.hpp"
#include "kernels/cuda/draw_statistics.hpp"
#include "kernels/cuda/multi_draw.hpp"
#include "kernels/divide_up.hpp"
#include "kernels/noise.hpp"

namespace pixeldp::kernels {
namespace {

bool fits(const MultiDrawShape& shape, const MultiDrawNetwork& network) {
  const Conv2dShape& conv = network.conv;
  constexpr std::int64_t most_elements = 1 << 30;  // counted in 32 bits
  return conv.in_w == shape.in_w && conv.in_c == shape.in_c && conv.out_c == shape.out_c &&
         conv.kernel_h == shape.kernel && conv.kernel_w == shape.kernel &&
         conv.stride == shape.stride && conv.pad_w.before == shape.pad_w &&
         conv.out_w() == shape.out_w && network.hidden == shape.hidden && conv.in_h >= 1 &&
         conv.in_h <= most_elements / (shape.in_w * shape.in_c) && conv.pad_h.before >= 0 &&
         conv.pad_h.before < shape.kernel && conv.pad_h.after >= 0 &&
         conv.pad_h.after < shape.kernel &&
         conv.in_h + conv.pad_h.before + conv.pad_h.after >= shape.kernel && network.classes >= 1 &&
         network.classes <= multi_draw_classes;
}

std::span<const MultiDrawShape> shapes_for(const MultiDrawNetwork& network) {
  if (network.in_int8) return multi_draw_int8_shapes;
  return multi_draw_shapes;
}

/// The first shape that fits and can be done by clusters; none if there is none.
MultiDrawGrid by_clusters(const MultiDrawNetwork& network, std::uint32_t draws) {
  for (const MultiDrawShape& shape : shapes_for(network)) {
    const MultiDrawCluster cluster = MultiDrawCluster::of(shape, network.in_int8 ? 1 : 2);
    if (!fits(shape, network) || cluster.slots == 0) continue;
    const std::int64_t clusters = divide_up(draws, MultiDrawCluster::draws);
    return {shape, cluster, static_cast<unsigned>(clusters * MultiDrawCluster::blocks)};
  }
  return {};
}

MultiDrawGrid by_blocks(const MultiDrawNetwork& network, std::uint32_t draws, const Arch& arch,
                        int block_draws) {
  MultiDrawGrid grid;
  std::int64_t least_blocks = 0;
  const MultiDrawShape* too_large = nullptr;  // for the device
  for (const MultiDrawShape& shape : shapes_for(network)) {
    if (!fits(shape, network) || (block_draws != 0 && shape.draws != block_draws)) continue;
    if (shape.shared_bytes > arch.shared_per_block) {
      too_large = &shape;
      continue;
    }
    const std::int64_t blocks = divide_up(draws, shape.draws);
    if (grid.shape.draws != 0 &&
        (blocks > least_blocks || (blocks == least_blocks && shape.draws > grid.shape.draws)))
      continue;
    grid.shape = shape;
    least_blocks = blocks;
  }
  if (grid.shape.draws == 0) {
    if (too_large != nullptr)
      fail_shared_memory(arch,
                         fmt::format("the multi-draw kernel for {}, then {} hidden units, {} draws "
                                     "at a time",
                                     describe(network.conv), network.hidden, too_large->draws),
                         too_large->shared_bytes);
    fail(
        "no multi-draw kernel fits {}, then {} hidden units and {} classes: evaluate such a "
        "network layer by layer",
        describe(network.conv), network.hidden, network.classes);
  }
  grid.draw_blocks = static_cast<unsigned>(least_blocks);
  return grid;
}

}  // namespace

bool MultiDrawGrid::supports(const MultiDrawNetwork& network, const Arch& arch) {
  return std::ranges::any_of(shapes_for(network), [&](const MultiDrawShape& shape) {
    return fits(shape, network) && shape.shared_bytes <= arch.shared_per_block;
  });
}

MultiDrawGrid MultiDrawGrid::plan(const MultiDrawNetwork& network, const MultiDrawParams& params,
                                  const Arch& arch, int block_draws, const float* prefixes) {
  const Conv2dShape& conv = network.conv;
  check_noise_arguments(params.noise, params.images, conv.in_h * conv.in_w * conv.in_c);
  if (std::uint64_t{params.first_draw} + params.draws > std::uint64_t{1} << 32) {
    fail("draws are numbered by 32 bits: {} draws from number {} on do not fit", params.draws,
         params.first_draw);
  }
  if (reinterpret_cast<std::uintptr_t>(prefixes) % 16 != 0)
    fail("draws of {}: the prefixes must be aligned to 16 bytes", describe(conv));
  MultiDrawGrid grid;
  if (block_draws == 0 ? arch.warpgroup_products : block_draws == MultiDrawCluster::draws)
    grid = by_clusters(network, params.draws);
  if (!grid.in_clusters()) grid = by_blocks(network, params.draws, arch, block_draws);
  constexpr std::int64_t most_images = 65535;  // the second axis of a grid
  if (params.images > most_images)
    fail("draws of {} images: one launch can do {}", params.images, most_images);
  grid.images = static_cast<unsigned>(params.images);
  return grid;
}

}  // namespace pixeldp::kernels
