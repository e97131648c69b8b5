#include <algorithm>
#include <cmath>
#include <string_view>

#include "engine/error.hpp"
#include "kernels/cuda/convolution_wgmma.hpp"
#include "kernels/divide_up.hpp"

namespace pixeldp::kernels {
namespace {

constexpr int bf16 = TensorBox::bf16_bytes, product_depth = 16;
/// Of an image. Of smaller ones, dense layers among them, there are seldom tiles for all
/// multiprocessors.
constexpr std::int64_t least_pixels = 32;

int to_int(std::int64_t value) { return static_cast<int>(value); }

/// Channels of a tile for so many channels of y, 0: none fits. The fewest in all, of the larger
/// tiles where that is the same.
int fitting_channels(std::int64_t out_c) {
  int best = 0;
  const auto all = [out_c](int n) { return divide_up(out_c, n) * n; };
  for (const int n : WgmmaTile::channels)
    if (pays_by_warpgroups(out_c, all(n)) && (best == 0 || all(n) < all(best))) best = n;
  return best;
}

constexpr std::string_view no_tile = "there is no kernel of such a tile for it";

[[noreturn]] void refuse(const ConvPass& pass, std::string_view why) {
  fail(
      "convolution by warpgroups of {} images {}x{}x{} to {}x{}x{} with kernels {}x{}, stride {}: "
      "{}",
      pass.batch, pass.in_h, pass.in_w, pass.in_c, pass.out_h, pass.out_w, pass.out_c,
      pass.kernel_h, pass.kernel_w, pass.stride, why);
}

/// Whether taps and strides are such that boxes of x are what products read.
bool has_boxes(const ConvPass& pass) {
  if (pass.kernel_h < 1 || pass.kernel_w < 1) return false;
  if (pass.stride != 1 && !(pass.stride == 2 && pass.in_h % 2 == 0 && pass.in_w >= 2)) return false;
  return WgmmaBox::of(pass.out_h, pass.out_w).pixels() > 0;
}

}  // namespace

WgmmaBox WgmmaBox::of(std::int64_t out_h, std::int64_t out_w) {
  if (out_h < 1 || out_w < 1 || out_w > WgmmaTile::pixels) return {};
  const std::int64_t most_h = std::min(out_h, WgmmaTile::pixels / out_w);
  const std::int64_t h = divide_up(out_h, divide_up(out_h, most_h));
  const std::int64_t images = h == out_h ? WgmmaTile::pixels / (out_w * out_h) : 1;
  return {to_int(out_w), to_int(h), to_int(images)};
}

WgmmaBox WgmmaBox::half() const {
  constexpr int swizzled_rows = 8;
  WgmmaBox part = *this;
  if (images % 2 == 0)
    part.images /= 2;
  else if (images == 1 && h % 2 == 0)
    part.h /= 2;
  else
    return {};
  return part.pixels() % swizzled_rows == 0 ? part : WgmmaBox();
}

int wgmma_pair_bytes(const ConvPass& pass, int channels, WgmmaShared shared) {
  const WgmmaBox box = WgmmaBox::of(pass.out_h, pass.out_w);
  const auto bytes = [](int rows) { return rows * WgmmaTile::row_bytes; };
  switch (shared) {
    case WgmmaShared::nothing:
      return bytes(2 * box.pixels() + 2 * channels);
    case WgmmaShared::x:
      if (divide_up(pass.out_c, channels) % 2 != 0 || box.half().pixels() == 0) return 0;
      return bytes(box.pixels() + 2 * channels);
    case WgmmaShared::weight:
      if (divide_up(pass.batch, box.images) * divide_up(pass.out_h, box.h) % 2 != 0) return 0;
      return bytes(2 * box.pixels() + channels);
  }
  fail("convolution by warpgroups: clusters share nothing, x or weight, not {}",
       static_cast<int>(shared));
}

WgmmaShared choose_wgmma_shared(const ConvPass& pass, int channels) {
  WgmmaShared best = WgmmaShared::nothing;
  int least = wgmma_pair_bytes(pass, channels, best);
  for (const WgmmaShared shared : {WgmmaShared::x, WgmmaShared::weight}) {
    const int bytes = wgmma_pair_bytes(pass, channels, shared);
    if (bytes > 0 && bytes < least) best = shared, least = bytes;
  }
  return best;
}

ConvTime wgmma_products_time(double products, int columns, double copied, int chunk,
                             const Arch& arch) {
  constexpr double schedulers = 4.0, shared_bytes = 128.0, rows = WgmmaTile::product_rows;
  constexpr double warps = 4.0, instructions = 17.0;  // of a warp for a product, at the most
  constexpr double product_bytes = 1.0 * WgmmaTile::row_bytes / WgmmaTile::products;
  const double depth = product_bytes / 16.0 * chunk;
  ConvTime time;
  time.tensor = products * rows * columns * depth / (products_per_clock(chunk, arch) * arch.clock);
  time.issue = products * warps * instructions / (schedulers * arch.clock);
  time.shared =
      (products * (rows + columns) * product_bytes + copied) / (shared_bytes * arch.clock);
  return time;
}

ConvTime wgmma_time(const ConvPass& pass, int chunk, int channels, const Arch& arch) {
  constexpr double l2_bytes = 64.0, chunk_bytes = 16.0;
  const auto real = [](std::int64_t value) { return static_cast<double>(value); };
  const WgmmaBox box = WgmmaBox::of(pass.out_h, pass.out_w);
  const std::int64_t taps = pass.kernel_h * pass.kernel_w, rows = box.pixels() + channels;
  const std::int64_t tiles = divide_up(pass.batch, box.images) * divide_up(pass.out_h, box.h) *
                             divide_up(pass.out_c, channels);
  const double most_tiles = real(divide_up(tiles, arch.multiprocessors));
  // A tap's last channels fill no step: what is beyond their last product is not multiplied, and
  // zeros that come to shared memory from nowhere.
  constexpr int row_chunks = WgmmaTile::row_bytes / 16;
  const int depth = row_chunks / WgmmaTile::products * chunk;
  const double products =
      real(WgmmaTile::pixels / WgmmaTile::product_rows * taps * divide_up(pass.in_c, depth));
  const double copied =
      real(taps * divide_up(pass.in_c, row_chunks * chunk) * rows * WgmmaTile::row_bytes);
  const double row_bytes = real(taps * pass.in_c) * chunk_bytes / chunk;
  const double pair_rows =
      real(wgmma_pair_bytes(pass, channels, choose_wgmma_shared(pass, channels))) /
      WgmmaTile::row_bytes;

  ConvTime time =
      wgmma_products_time(most_tiles * products, channels, most_tiles * copied, chunk, arch);
  time.l2 =
      std::max(most_tiles * row_bytes * real(rows) / (l2_bytes * arch.clock),
               real(tiles) * row_bytes * pair_rows / 2.0 / (arch.l2_bytes_per_clock * arch.clock));
  time.dram = ConvTime::dram_of(pass, chunk, arch);
  return time;
}

int choose_wgmma_channels(const ConvPass& pass, const Arch& arch) {
  if (!arch.warpgroup_products || !has_boxes(pass)) return 0;
  if (pass.in_c < WgmmaTile::depth || pass.in_c % product_depth != 0) return 0;
  const WgmmaBox box = WgmmaBox::of(pass.out_h, pass.out_w);
  if (pass.out_h * pass.out_w < least_pixels) return 0;
  // Of a tile for each of the images that it holds.
  const std::int64_t pixels = pass.out_h * pass.out_w * box.images;
  if (!pays_by_warpgroups(pixels, divide_up(pass.out_h, box.h) * WgmmaTile::pixels)) return 0;
  return fitting_channels(pass.out_c);
}

namespace {

/// What exceeds the numbers of a plan, or nothing.
std::string_view obstacle(const ConvPass& pass, const WgmmaBox& box, int channels) {
  // Coordinates are 32 bits, and so are offsets within the images of one tile.
  constexpr std::int64_t most_extent = 32767, most = 1 << 30;
  if (std::max({pass.in_h, pass.in_w, pass.out_h, pass.kernel_h, pass.kernel_w,
                std::abs(pass.pad_h), std::abs(pass.pad_w)}) > most_extent)
    return "no extent may exceed 32767";
  if (pass.in_c > 1 << 20 || pass.out_c > 1 << 20 ||
      pass.kernel_h * pass.kernel_w > most / pass.in_c || pass.image > most / box.images)
    return "the images of one tile, or its kernels, exceed 2^30 values";
  if (pass.batch > most ||
      divide_up(pass.batch, box.images) >
          most / (divide_up(pass.out_h, box.h) * divide_up(pass.out_c, channels)))
    return "one launch has at most 2^30 tiles: make the batch smaller";
  return {};
}

/// All of a plan but what its epilogue says.
ConvWgmmaPlan plan_of_tiles(const ConvPass& pass, int channels, int element_bytes,
                            const Arch& arch) {
  const WgmmaBox box = WgmmaBox::of(pass.out_h, pass.out_w);
  if (const std::string_view why = obstacle(pass, box, channels); !why.empty()) refuse(pass, why);
  const std::int64_t tiles_h = divide_up(pass.out_h, box.h);
  const std::int64_t channel_tiles = divide_up(pass.out_c, channels);
  ConvWgmmaPlan plan;
  plan.box = box;
  plan.tiles_h = to_int(tiles_h), plan.channel_tiles = to_int(channel_tiles);
  plan.kernel_h = to_int(pass.kernel_h), plan.kernel_w = to_int(pass.kernel_w);
  plan.depth = WgmmaTile::row_bytes / element_bytes;
  plan.chunks = to_int(divide_up(pass.in_c, plan.depth));
  plan.channels = plan.chunks * plan.depth;
  plan.last_products = to_int(divide_up(pass.in_c - std::int64_t{plan.chunks - 1} * plan.depth,
                                        plan.depth / WgmmaTile::products));
  plan.stride = to_int(pass.stride);
  plan.pad_h = to_int(pass.pad_h), plan.pad_w = to_int(pass.pad_w);
  plan.images = to_int(pass.batch), plan.out_h = to_int(pass.out_h);
  plan.out_c = to_int(pass.out_c);
  plan.y_first = pass.first, plan.y_image = pass.image;
  plan.y_row = to_int(pass.row), plan.y_column = to_int(pass.column);
  plan.step_bytes = static_cast<std::uint32_t>((box.pixels() + channels) * WgmmaTile::row_bytes);
  plan.shared = choose_wgmma_shared(pass, channels);
  if (plan.shared == WgmmaShared::x) plan.half = box.half();
  plan.cluster = plan.shared == WgmmaShared::nothing ? 1 : 2;
  plan.tiles = to_int(divide_up(pass.batch, box.images) * tiles_h * channel_tiles);
  const int cluster = static_cast<int>(plan.cluster);
  const int most_blocks = std::max(arch.multiprocessors / cluster, 1) * cluster;
  const bool one_step = plan.kernel_h * plan.kernel_w * plan.chunks == 1;
  plan.blocks = static_cast<unsigned>(one_step ? plan.tiles : std::min(plan.tiles, most_blocks));
  return plan;
}

}  // namespace

ConvWgmmaPlan ConvWgmmaPlan::make(const ConvPass& pass, int channels, const Arch& arch,
                                  const ConvEpilogue& epilogue, const void* y,
                                  std::size_t y_bytes) {
  if (channels == 0 || choose_wgmma_channels(pass, sm_90) != channels) refuse(pass, no_tile);
  if (epilogue.next != nullptr &&
      (epilogue.next_scale == nullptr || epilogue.next_shift == nullptr))
    refuse(pass, "what follows y has no scale or no shift");
  ConvWgmmaPlan plan = plan_of_tiles(pass, channels, bf16, arch);
  plan.vectorised = is_vectorised(pass, epilogue, y, y_bytes);
  return plan;
}

ConvWgmmaPlan ConvWgmmaPlan::make(const Conv2dShape& s, int channels, const Arch& arch,
                                  const Int8Epilogue& epilogue) {
  check_conv2d_shape(s);
  const ConvPass pass = ConvPass::forward(s, int8_chunk);
  if (std::ranges::find(WgmmaTile::channels, channels) == std::end(WgmmaTile::channels) ||
      !has_boxes(pass))
    refuse(pass, no_tile);
  if (const std::string_view why = epilogue.obstacle(s.out_c); !why.empty()) refuse(pass, why);
  ConvWgmmaPlan plan = plan_of_tiles(pass, channels, 1, arch);
  plan.vectorised = epilogue.is_vectorised(s.out_c);
  return plan;
}

WgmmaInt8Time WgmmaInt8Time::of(const Conv2dShape& s, const Arch& arch) {
  check_conv2d_shape(s);
  const ConvPass pass = ConvPass::forward(s, int8_chunk);
  WgmmaInt8Time best;
  if (!arch.warpgroup_products || !has_boxes(pass)) return best;
  const WgmmaBox box = WgmmaBox::of(s.out_h(), s.out_w());
  constexpr double shared_bytes_per_clock = 128.0;
  for (const int n : WgmmaTile::channels) {
    if (!obstacle(pass, box, n).empty()) continue;
    const ConvWgmmaPlan plan = plan_of_tiles(pass, n, 1, arch);
    const double taps = static_cast<double>(s.kernel_h * s.kernel_w), rows = WgmmaTile::pixels,
                 depth = 1.0 * plan.depth / WgmmaTile::products,
                 products = (plan.chunks - 1) * WgmmaTile::products + plan.last_products;
    const double multiply = products * depth * rows * n / arch.int8_products;
    // All rows of a product read all its columns.
    const double read = products * depth * (rows + rows / WgmmaTile::product_rows * n),
                 written = 1.0 * plan.chunks * plan.step_bytes,
                 shared = (read + written) / shared_bytes_per_clock;
    const double bring = static_cast<double>(pass.in_c) * (box.pixels() + n) / l2_bytes_per_clock;
    const double waves = static_cast<double>(divide_up(plan.tiles, arch.multiprocessors));
    const double clocks = waves * taps * (std::max(multiply, shared) + bring);
    if (best.channels == 0 || clocks < best.clocks) best = {n, clocks};
  }
  return best;
}

ConvWgmmaInput ConvWgmmaInput::make(const ConvPass& pass, const WgmmaBox& box, int channels,
                                    int element_bytes, const void* x) {
  const std::int64_t element = element_bytes;
  const std::int64_t pixel = pass.in_c * element, row = pass.in_w * pixel;
  ConvWgmmaInput input;
  for (std::int64_t h = 0; h < pass.stride; ++h)
    for (std::int64_t w = 0; w < pass.stride; ++w)
      input.boxes[h * 2 + w] = {
          .address = static_cast<const std::byte*>(x) + h * row + w * pixel,
          .rank = 4,
          .size = {pass.in_c, divide_up(pass.in_w - w, pass.stride),
                   divide_up(pass.in_h - h, pass.stride), pass.batch},
          .stride = {element, pass.stride * pixel, pass.stride * row, pass.in_h * row},
          .box = {channels, box.w, box.h, box.images},
          .swizzle = channels * element_bytes,
          .element_bytes = element_bytes};
  return input;
}

ConvWgmmaBoxes ConvWgmmaBoxes::make(const ConvPass& pass, int channels, WgmmaShared shared,
                                    int element_bytes, const void* x, const void* weight) {
  const std::int64_t element = element_bytes;
  const int depth = WgmmaTile::row_bytes / element_bytes;
  const std::int64_t taps = pass.kernel_h * pass.kernel_w, tap = pass.in_c * element;
  const WgmmaBox box = WgmmaBox::of(pass.out_h, pass.out_w);
  return {.x = ConvWgmmaInput::make(pass, shared == WgmmaShared::x ? box.half() : box, depth,
                                    element_bytes, x),
          .weight = {.address = weight,
                     .rank = 3,
                     .size = {pass.in_c, taps, pass.out_c},
                     .stride = {element, tap, taps * tap},
                     .box = {depth, 1, shared == WgmmaShared::weight ? channels / 2 : channels},
                     .element_bytes = element_bytes}};
}

}  // namespace pixeldp::kernels
