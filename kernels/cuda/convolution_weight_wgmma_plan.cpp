#include <algorithm>
#include <string>

#include "engine/error.hpp"
#include "kernels/cuda/convolution_operands.hpp"
#include "kernels/cuda/convolution_weight_wgmma.hpp"
#include "kernels/divide_up.hpp"

namespace pixeldp::kernels {
namespace {

using Tile = WgmmaWeightTile;
using Plan = ConvWgmmaWeightPlan;

constexpr int product_depth = 16;
constexpr std::int64_t most = 1 << 30;

/// Rows of an image in boxes of equal size, so that none reaches beyond it, or several whole
/// images.
WgmmaBox box_of(const Conv2dShape& s) {
  std::int64_t h = std::min(s.out_h(), Tile::pixels / s.out_w());
  while (s.out_h() % h != 0) --h;
  const std::int64_t images = h == s.out_h() ? Tile::pixels / (s.out_w() * h) : 1;
  return {static_cast<int>(s.out_w()), static_cast<int>(h), static_cast<int>(images)};
}

std::int64_t count_boxes(const Conv2dShape& s, const WgmmaBox& box) {
  return divide_up(s.batch, box.images) * (s.out_h() / box.h);
}

/// Why no tile does, or nothing.
std::string obstacle(const Conv2dShape& s) {
  constexpr std::int64_t most_extent = 32767;
  if (s.batch < 1) return "there is no image";
  if (s.stride != 1 && !(s.stride == 2 && s.in_h % 2 == 0 && s.in_w >= 2))
    return "the stride must be 1, or 2 of images of even height and two columns at least";
  if (s.out_w() > Tile::pixels) return fmt::format("rows of more than {} pixels", Tile::pixels);
  if (std::max({s.in_h, s.in_w, s.out_h(), s.kernel_h, s.kernel_w, s.pad_h.before,
                s.pad_w.before}) > most_extent)
    return fmt::format("no extent may exceed {}", most_extent);
  const std::int64_t in_c = filled_channels<std::uint16_t>(s.in_c);
  if (in_c > most || s.kernel_h * s.kernel_w > most / in_c ||
      s.kernel_h * s.kernel_w * in_c > most / s.out_c)
    return "the weight may not exceed 2^30 elements";
  if (s.batch > most || count_boxes(s, box_of(s)) > most) return "at most 2^30 boxes of pixels";
  return {};
}

int to_int(std::int64_t value) { return static_cast<int>(value); }

/// Of sm_90, until a block's first operands have come, and after its last sums.
constexpr std::int64_t idle_clocks = 2000;

/// Splits, and what all takes then: the blocks of a multiprocessor one after the other, each as
/// long as its products or, where that is longer, its bytes from the L2 cache; then partial sums
/// once more.
void share_out(Plan& plan, const Tile& tile) {
  constexpr const Arch& arch = sm_90;
  const auto block_bytes = [&](std::int64_t bytes) {  // where all multiprocessors read as many
    return bytes * arch.multiprocessors / arch.l2_bytes_per_clock;
  };
  const std::int64_t products =
      std::int64_t{Tile::rows} * tile.channels * product_depth * plan.products;
  const std::int64_t step =
      std::max<std::int64_t>(products / arch.tensor_products, block_bytes(plan.step_bytes));
  const std::int64_t ends = idle_clocks + block_bytes(std::int64_t{4} * Tile::rows * tile.channels);
  WeightSums one = plan.sums();
  one.splits = 1;
  const std::int64_t add = 4 * one.size() / arch.l2_bytes_per_clock;
  // More blocks than that gain nothing; of fewer steps a block does little but fill its ring.
  constexpr int most_blocks = 4 * arch.multiprocessors, least_steps = 8;
  const std::int64_t most_splits =
      std::min<std::int64_t>(std::max(plan.boxes / least_steps, 1),
                             most_blocks / static_cast<std::int64_t>(plan.tile_blocks) + 1);
  for (std::int64_t wanted = 1; wanted <= most_splits; ++wanted) {
    const std::int64_t boxes = divide_up(plan.boxes, wanted), splits = divide_up(plan.boxes, boxes);
    const std::int64_t waves = divide_up(splits * plan.tile_blocks, arch.multiprocessors);
    const std::int64_t clocks = waves * (boxes * step + ends) + splits * add;
    if (plan.splits > 0 && clocks >= plan.clocks) continue;
    plan.clocks = clocks;
    plan.split_boxes = to_int(boxes), plan.splits = static_cast<unsigned>(splits);
  }
}

}  // namespace

ConvWgmmaWeightPlan ConvWgmmaWeightPlan::make(const Conv2dShape& s, const WgmmaWeightTile& tile) {
  check_conv2d_shape(s);
  const auto refuse = [&](const std::string& why) {
    fail("{}, gradient in the weight by warpgroups: {}", describe(s), why);
  };
  if (std::find(std::begin(wgmma_weight_tiles), std::end(wgmma_weight_tiles), tile) ==
      std::end(wgmma_weight_tiles))
    refuse("there is no kernel of such a tile");
  if (const std::string why = obstacle(s); !why.empty()) refuse(why);

  ConvWgmmaWeightPlan plan;
  plan.box = box_of(s);
  plan.products = to_int(divide_up(plan.box.pixels(), product_depth));
  plan.tiles_h = to_int(s.out_h() / plan.box.h);
  plan.boxes = to_int(count_boxes(s, plan.box));
  plan.in_c = to_int(s.in_c), plan.out_c = to_int(s.out_c);
  plan.filled_c = to_int(filled_channels<std::uint16_t>(s.in_c));
  plan.tap_boxes = to_int(divide_up(plan.filled_c, tile.box_channels));
  plan.taps = to_int(s.kernel_h * s.kernel_w), plan.kernel_w = to_int(s.kernel_w);
  plan.stride = to_int(s.stride);
  plan.pad_h = to_int(s.pad_h.before), plan.pad_w = to_int(s.pad_w.before);
  plan.channel_tiles = to_int(divide_up(s.out_c, tile.channels));
  plan.step_bytes =
      static_cast<std::uint32_t>((tile.x_boxes() + tile.dy_boxes()) * tile.box_channels *
                                 plan.box.pixels() * TensorBox::bf16_bytes);
  plan.tile_blocks = static_cast<unsigned>(
      divide_up(std::int64_t{plan.taps} * plan.tap_boxes, tile.x_boxes()) * plan.channel_tiles);
  share_out(plan, tile);
  return plan;
}

WgmmaWeightTile choose_wgmma_weight_tile(const Conv2dShape& s, const Arch& arch) {
  check_conv2d_shape(s);
  if (!arch.warpgroup_products || !obstacle(s).empty()) return {};
  const auto product = [](auto... factors) { return (1.0 * ... * static_cast<double>(factors)); };
  WgmmaWeightTile best;
  std::int64_t best_clocks = 0;
  for (const WgmmaWeightTile& tile : wgmma_weight_tiles) {
    const ConvWgmmaWeightPlan plan = ConvWgmmaWeightPlan::make(s, tile);
    const double used = product(s.out_c, plan.taps, s.in_c, plan.box.pixels()),
                 all = product(plan.tile_blocks, Tile::rows, tile.channels, plan.products,
                               product_depth);
    if (4.0 * used < 3.0 * all) continue;
    const bool smaller_boxes = best.exists() && tile.box_channels < best.box_channels;
    if (best.exists() && plan.clocks * 10 >= best_clocks * (smaller_boxes ? 9 : 10)) continue;
    best = tile, best_clocks = plan.clocks;
  }
  return best;
}

ConvTime wgmma_weight_time(const Conv2dShape& s, const WgmmaWeightTile& tile, const Arch& arch) {
  const ConvWgmmaWeightPlan plan = ConvWgmmaWeightPlan::make(s, tile);
  constexpr int chunk = chunk_of<std::uint16_t>;
  constexpr double l2_bytes = 64.0, product_rows = WgmmaTile::product_rows;
  const std::int64_t blocks = std::int64_t{plan.tile_blocks} * plan.splits;
  const double most_boxes =
      static_cast<double>(divide_up(blocks, arch.multiprocessors) * plan.split_boxes);
  const double copied = most_boxes * plan.step_bytes;
  ConvTime time = wgmma_products_time(most_boxes * plan.products * Tile::rows / product_rows,
                                      tile.channels, copied, chunk, arch);
  time.l2 = std::max(copied / (l2_bytes * arch.clock), 1.0 * plan.tile_blocks * plan.boxes *
                                                           plan.step_bytes /
                                                           (arch.l2_bytes_per_clock * arch.clock)) +
            partial_sums_time(plan.sums(), arch);
  time.dram = weight_gradient_dram(s, chunk, arch);
  return time;
}

ConvWgmmaWeightBoxes ConvWgmmaWeightBoxes::make(const Conv2dShape& s, const WgmmaWeightTile& tile,
                                                const std::uint16_t* x, const std::uint16_t* dy) {
  constexpr std::int64_t element = TensorBox::bf16_bytes;
  const WgmmaBox box = box_of(s);
  const std::int64_t channels = filled_channels<std::uint16_t>(s.out_c), pixel = channels * element,
                     row = s.out_w() * pixel;
  return {.x = ConvWgmmaInput::make(ConvPass::forward(s, chunk_of<std::uint16_t>), box,
                                    tile.box_channels, TensorBox::bf16_bytes, x),
          .dy = {.address = dy,
                 .rank = 4,
                 .size = {channels, s.out_w(), s.out_h(), s.batch},
                 .stride = {element, pixel, row, s.out_h() * row},
                 .box = {tile.box_channels, box.w, box.h, box.images},
                 .swizzle = tile.box_channels * TensorBox::bf16_bytes}};
}

}  // namespace pixeldp::kernels
