#include "engine/error.hpp"
#include "kernels/cuda/scaling.hpp"
#include "kernels/divide_up.hpp"

namespace pixeldp::kernels {

unsigned scaling_blocks(const ScalingParams& params) {
  constexpr std::int64_t block_values = 4 * 256, most_blocks = 0x7fffffff;
  if (params.channels < 1 || params.pixels < 0)
    fail("scaling: {} pixels of {} channels", params.pixels, params.channels);
  if (params.pixels > most_blocks * block_values / params.channels)
    fail("scaling: {} pixels of {} channels are more than one launch can do", params.pixels,
         params.channels);
  return static_cast<unsigned>(divide_up(params.pixels * params.channels, block_values));
}

}  // namespace pixeldp::kernels
