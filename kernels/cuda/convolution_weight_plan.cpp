#include <algorithm>

#include "engine/error.hpp"
#include "kernels/cuda/convolution_weight.hpp"
#include "kernels/divide_up.hpp"

namespace pixeldp::kernels {

ConvWeightPlan ConvWeightPlan::make(const Conv2dShape& s, int chunk, const void* x,
                                    const void* dy) {
  check_conv2d_shape(s);
  if ((reinterpret_cast<std::uintptr_t>(x) | reinterpret_cast<std::uintptr_t>(dy)) % 16 != 0)
    fail("{}, gradient in the weight on tensor cores: operands must be aligned to 16 bytes",
         describe(s));
  const std::int64_t in_chunks = divide_up(s.in_c, chunk), in_c = in_chunks * chunk;
  constexpr std::int64_t most_position = 32767, most = 1 << 30;
  const std::int64_t positions[] = {s.in_h + s.pad_h.before + s.pad_h.after,
                                    s.in_w + s.pad_w.before + s.pad_w.after, s.stride, s.kernel_h,
                                    s.kernel_w};
  if (*std::max_element(std::begin(positions), std::end(positions)) > most_position ||
      s.kernel_h * s.kernel_w > most / in_c || s.in_h * s.in_w > most / in_c ||
      s.kernel_h * s.kernel_w * in_c > most / s.out_c ||
      positions[0] * positions[1] > most / in_chunks)
    fail(
        "{}, gradient in the weight on tensor cores: no extent may exceed {}, no image and no "
        "weight 2^30 elements, no padded image 2^30 vectors of 16 bytes",
        describe(s), most_position);
  const std::int64_t image_pixels = s.out_h() * s.out_w();
  if (s.batch > (std::int64_t{1} << 40) / image_pixels)
    fail("{}, gradient in the weight on tensor cores: at most 2^40 pixels", describe(s));

  const auto to_int = [](std::int64_t value) { return static_cast<int>(value); };
  ConvWeightPlan plan;
  plan.pixels = s.batch * image_pixels;
  plan.x_image = s.in_h * s.in_w * in_chunks;
  plan.in_h = to_int(s.in_h), plan.in_w = to_int(s.in_w), plan.in_c = to_int(s.in_c);
  plan.out_h = to_int(s.out_h()), plan.out_w = to_int(s.out_w()), plan.out_c = to_int(s.out_c);
  plan.in_chunks = to_int(in_chunks), plan.out_chunks = to_int(divide_up(s.out_c, chunk));
  plan.taps = to_int(s.kernel_h * s.kernel_w), plan.kernel_w = to_int(s.kernel_w);
  plan.columns = plan.taps * to_int(in_c);
  plan.stride = to_int(s.stride);
  plan.pad_h = to_int(s.pad_h.before), plan.pad_w = to_int(s.pad_w.before);

  // Of the tiles, the one with the least time, by the measure of choose_conv_tile for a device that
  // does 16 products in the time of a byte.
  const auto blocks = [&](const ConvTile& t) {
    return divide_up(s.out_c, t.m) * divide_up(plan.columns, t.n);
  };
  const auto time = [&](const ConvTile& t) { return blocks(t) * (t.m * t.n + 32 * (t.m + t.n)); };
  plan.tile = time(tiles[0]) <= time(tiles[1]) ? 0 : 1;
  plan.column_tiles = to_int(divide_up(plan.columns, tiles[plan.tile].n));
  plan.tile_blocks = static_cast<unsigned>(blocks(tiles[plan.tile]));

  // Two blocks for each of 110 multiprocessors, about as many as large devices have, whatever this
  // one has; but no split below 16 steps: its partial sums have to be written and read again.
  constexpr std::int64_t wanted_blocks = 2 * 110, least_steps = 16;
  const int step = step_pixels(chunk);
  const std::int64_t steps = divide_up(plan.pixels, step);
  const std::int64_t splits = std::clamp<std::int64_t>(
      wanted_blocks / plan.tile_blocks, 1, std::max<std::int64_t>(steps / least_steps, 1));
  plan.split_pixels = std::max<std::int64_t>(divide_up(steps, splits), 1) * step;
  if (plan.split_pixels > most)
    fail("{}, gradient in the weight on tensor cores: at most 2^30 pixels for each of {} sums",
         describe(s), splits);
  plan.splits =
      static_cast<unsigned>(std::max<std::int64_t>(divide_up(plan.pixels, plan.split_pixels), 1));

  // So many pixels on, by whole images (if there are as many), rows and pixels, and what is one row
  // or image too many.
  const std::int64_t images = std::min(step / image_pixels, s.batch),
                     rows = step / s.out_w() % s.out_h(), columns = step % s.out_w(),
                     in_row = s.in_w * in_chunks;
  if ((images + 1) * plan.x_image > most)
    fail(
        "{}, gradient in the weight on tensor cores: {} images of x exceed 2^30 vectors of 16 "
        "bytes",
        describe(s), images + 1);
  plan.move.dy = to_int(step * plan.out_chunks);
  plan.move.h = to_int(rows * s.stride), plan.move.w = to_int(columns * s.stride);
  plan.move.x = to_int(images * plan.x_image + plan.move.h * in_row + plan.move.w * in_chunks);
  plan.move.row_w = to_int(s.out_w() * s.stride);
  plan.move.row_x = to_int(s.stride * in_row - plan.move.row_w * in_chunks);
  plan.move.image_h = to_int(s.out_h() * s.stride);
  plan.move.image_x = to_int(plan.x_image - plan.move.image_h * in_row);
  return plan;
}

ConvTime weight_gradient_time(const Conv2dShape& s, int chunk, const Arch& arch) {
  const ConvWeightPlan plan = ConvWeightPlan::make(s, chunk);
  ConvTime time = ConvTime::of_blocks(std::int64_t{plan.tile_blocks} * plan.splits,
                                      plan.split_pixels / ConvWeightPlan::step_pixels(chunk), chunk,
                                      ConvWeightPlan::tiles[plan.tile], arch);
  time.l2 += partial_sums_time(plan.sums(), arch);
  time.dram = weight_gradient_dram(s, chunk, arch);
  return time;
}

double partial_sums_time(const WeightSums& sums, const Arch& arch) {
  return static_cast<double>(2 * sums.size()) * sizeof(float) /
         (arch.l2_bytes_per_clock * arch.clock);
}

double weight_gradient_dram(const Conv2dShape& s, int chunk, const Arch& arch) {
  const double operands = static_cast<double>(
                   s.batch * (s.in_h * s.in_w * s.in_c + s.out_h() * s.out_w() * s.out_c)),
               weights = static_cast<double>(s.weight_size());
  return (operands * 16.0 / chunk + weights * sizeof(float)) / arch.dram_bandwidth;
}

}  // namespace pixeldp::kernels
