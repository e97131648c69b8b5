#include "kernels/multi_draw.hpp"

#include "engine/error.hpp"
#include "kernels/cuda/multi_draw.hpp"
#include "kernels/operations.hpp"

namespace pixeldp::kernels {

bool multi_draw_supported(const Device& device, const MultiDrawNetwork& network) {
  return device.kind != DeviceKind::cpu && MultiDrawGrid::supports(network, arch_of(device));
}

std::unique_ptr<MultiDraw> pack_multi_draw(const Stream& stream, const MultiDrawNetwork& network,
                                           const MultiDrawWeights& weights) {
  return operations(stream).pack_multi_draw(stream, network, weights);
}

void check_bad_draw(std::uint64_t bad_row, const MultiDrawParams& params,
                    const std::uint32_t* image_ids) {
  if (bad_row == no_bad_row) return;
  const std::uint64_t image = bad_row / params.draws, draw = bad_row % params.draws;
  fail_bad_draw(params.first_draw + draw, image_ids[image]);
}

}  // namespace pixeldp::kernels
