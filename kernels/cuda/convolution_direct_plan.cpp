#include <algorithm>
#include <initializer_list>

#include "engine/error.hpp"
#include "kernels/cuda/convolution_direct.hpp"
#include "kernels/divide_up.hpp"

namespace pixeldp::kernels {

DirectConvPlan DirectConvPlan::make(const Conv2dShape& s, const float* y, const Arch& arch) {
  check_conv2d_shape(s);
  // Positions a tile beyond the edge still fit into 32 bits.
  constexpr std::int64_t most = 1 << 30;
  const auto fits = [&](std::initializer_list<std::int64_t> factors) {
    std::int64_t product = 1;
    for (const std::int64_t factor : factors) {
      if (factor > most || (product *= factor) > most) return false;
    }
    return true;
  };
  if (!fits({s.in_h + s.pad_h.before + s.pad_h.after, s.in_w + s.pad_w.before + s.pad_w.after,
             s.in_c}) ||
      !fits({s.out_h(), s.out_w(), s.out_c}) || !fits({s.kernel_h, s.kernel_w, s.in_c}) ||
      !fits({s.stride}))
    fail("{}: the direct kernel counts the elements of an image in 30 bits", describe(s));

  DirectConvPlan plan;
  const auto to_int = [](std::int64_t value) { return static_cast<int>(value); };
  plan.in_h = to_int(s.in_h), plan.in_w = to_int(s.in_w), plan.in_c = to_int(s.in_c);
  plan.out_h = to_int(s.out_h()), plan.out_w = to_int(s.out_w()), plan.out_c = to_int(s.out_c);
  plan.kernel_h = to_int(s.kernel_h), plan.kernel_w = to_int(s.kernel_w);
  plan.stride = to_int(s.stride);
  plan.pad_top = to_int(s.pad_h.before), plan.pad_left = to_int(s.pad_w.before);
  plan.block_c = s.out_c <= 16 ? 16 : 32;
  const int rows = tile_h(plan.block_c);
  plan.row_tiles = (plan.out_h - 1) / rows + 1;
  plan.column_tiles = (plan.out_w - 1) / tile_w + 1;

  const std::int64_t patch_h = (rows - 1) * s.stride + s.kernel_h;
  const std::int64_t patch_w = (tile_w - 1) * s.stride + s.kernel_w;
  constexpr auto whole_limit = static_cast<std::int64_t>(whole_shared_limit / sizeof(float));
  constexpr auto chunk_limit = static_cast<std::int64_t>(chunk_shared_limit / sizeof(float));
  const std::int64_t taps = s.kernel_h * s.kernel_w;
  // Factors are cut off far beyond any shared memory, so that no product overflows.
  const auto factor = [](std::int64_t value) { return std::min<std::int64_t>(value, most >> 1); };
  const std::int64_t channel_floats =
      factor(taps) * plan.block_c + factor(patch_h) * factor(patch_w);
  const std::size_t channel_bytes = sizeof(float) * static_cast<std::size_t>(channel_floats);
  if (channel_bytes > arch.shared_per_block)
    fail_shared_memory(arch,
                       fmt::format("{}: the direct kernel keeps {} kernels and a patch of {} x {} "
                                   "pixels of one channel together",
                                   describe(s), plan.block_c, patch_h, patch_w),
                       channel_bytes);
  std::int64_t chunk = s.in_c;
  if (s.in_c > whole_limit / channel_floats) {
    // An odd number of channels at most, and the last chunk not much smaller than the others.
    const std::int64_t most_odd =
        (std::max<std::int64_t>(chunk_limit / channel_floats, 1) - 1) / 2 * 2 + 1;
    chunk = divide_up(s.in_c, divide_up(s.in_c, most_odd)) / 2 * 2 + 1;
  }
  plan.chunk_c = to_int(chunk);
  plan.patch_h = to_int(patch_h), plan.patch_w = to_int(patch_w);
  plan.shared_bytes = sizeof(float) * static_cast<std::size_t>(chunk * channel_floats);

  constexpr std::int64_t most_channel_blocks = 65535;
  const std::int64_t channel_blocks = (s.out_c - 1) / plan.block_c + 1;
  const std::int64_t image_tiles = std::int64_t{plan.row_tiles} * plan.column_tiles;
  if (!fits({s.batch, image_tiles}) || channel_blocks > most_channel_blocks)
    fail("{}: one launch of the direct kernel can do {} tiles of {} x {} pixels, {} channels",
         describe(s), most, rows, tile_w, most_channel_blocks * plan.block_c);
  plan.tiles = static_cast<unsigned>(s.batch * image_tiles);
  plan.channel_blocks = static_cast<unsigned>(channel_blocks);
  plan.vectorised =
      s.out_c % thread_channels == 0 && reinterpret_cast<std::uintptr_t>(y) % sizeof(float[4]) == 0;
  return plan;
}

}  // namespace pixeldp::kernels
