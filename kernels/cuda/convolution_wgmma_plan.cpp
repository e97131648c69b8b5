#include <algorithm>
#include <cmath>
#include <string_view>

#include "engine/error.hpp"
#include "kernels/cuda/convolution_wgmma.hpp"
#include "kernels/divide_up.hpp"

namespace pixeldp::kernels {
namespace {

constexpr int product_depth = 16;
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

}  // namespace

WgmmaBox WgmmaBox::of(std::int64_t out_h, std::int64_t out_w) {
  if (out_h < 1 || out_w < 1 || out_w > WgmmaTile::pixels) return {};
  const std::int64_t most_h = std::min(out_h, WgmmaTile::pixels / out_w);
  const std::int64_t h = divide_up(out_h, divide_up(out_h, most_h));
  const std::int64_t images = h == out_h ? WgmmaTile::pixels / (out_w * out_h) : 1;
  return {to_int(out_w), to_int(h), to_int(images)};
}

int choose_wgmma_channels(const ConvPass& pass, const Arch& arch) {
  if (!arch.warpgroup_products) return 0;
  if (pass.kernel_h < 1 || pass.kernel_w < 1) return 0;
  if (pass.stride != 1 && !(pass.stride == 2 && pass.in_h % 2 == 0 && pass.in_w >= 2)) return 0;
  if (pass.in_c < WgmmaTile::depth || pass.in_c % product_depth != 0) return 0;
  const WgmmaBox box = WgmmaBox::of(pass.out_h, pass.out_w);
  if (box.pixels() == 0 || pass.out_h * pass.out_w < least_pixels) return 0;
  // Of a tile for each of the images that it holds.
  const std::int64_t pixels = pass.out_h * pass.out_w * box.images;
  if (!pays_by_warpgroups(pixels, divide_up(pass.out_h, box.h) * WgmmaTile::pixels)) return 0;
  return fitting_channels(pass.out_c);
}

ConvWgmmaPlan ConvWgmmaPlan::make(const ConvPass& pass, int channels, const ConvEpilogue& epilogue,
                                  const void* y, std::size_t y_bytes) {
  const auto refuse = [&](std::string_view why) {
    fail(
        "convolution by warpgroups of {} images {}x{}x{} to {}x{}x{} with kernels {}x{}, stride "
        "{}: "
        "{}",
        pass.batch, pass.in_h, pass.in_w, pass.in_c, pass.out_h, pass.out_w, pass.out_c,
        pass.kernel_h, pass.kernel_w, pass.stride, why);
  };
  if (channels == 0 || choose_wgmma_channels(pass, sm_90) != channels)
    refuse("there is no kernel of such a tile for it");
  if (epilogue.next != nullptr &&
      (epilogue.next_scale == nullptr || epilogue.next_shift == nullptr))
    refuse("what follows y has no scale or no shift");

  // Coordinates are 32 bits, and so are offsets within the images of one tile.
  constexpr std::int64_t most_extent = 32767, most = 1 << 30;
  if (std::max({pass.in_h, pass.in_w, pass.out_h, pass.kernel_h, pass.kernel_w,
                std::abs(pass.pad_h), std::abs(pass.pad_w)}) > most_extent)
    refuse("no extent may exceed 32767");
  const WgmmaBox box = WgmmaBox::of(pass.out_h, pass.out_w);
  if (pass.in_c > 1 << 20 || pass.out_c > 1 << 20 ||
      pass.kernel_h * pass.kernel_w > most / pass.in_c || pass.image > most / box.images)
    refuse("the images of one tile, or its kernels, exceed 2^30 values");
  const std::int64_t tiles_h = divide_up(pass.out_h, box.h);
  const std::int64_t channel_tiles = divide_up(pass.out_c, channels);
  if (pass.batch > most || divide_up(pass.batch, box.images) > most / (tiles_h * channel_tiles))
    refuse("one launch has at most 2^30 tiles: make the batch smaller");

  ConvWgmmaPlan plan;
  plan.box = box;
  plan.tiles_h = to_int(tiles_h), plan.channel_tiles = to_int(channel_tiles);
  plan.kernel_h = to_int(pass.kernel_h), plan.kernel_w = to_int(pass.kernel_w);
  plan.chunks = to_int(divide_up(pass.in_c, WgmmaTile::depth));
  plan.last_products = to_int(pass.in_c - (plan.chunks - 1) * WgmmaTile::depth) / product_depth;
  plan.stride = to_int(pass.stride);
  plan.pad_h = to_int(pass.pad_h), plan.pad_w = to_int(pass.pad_w);
  plan.images = to_int(pass.batch), plan.out_h = to_int(pass.out_h);
  plan.out_c = to_int(pass.out_c);
  plan.y_first = pass.first, plan.y_image = pass.image;
  plan.y_row = to_int(pass.row), plan.y_column = to_int(pass.column);
  plan.step_bytes = static_cast<std::uint32_t>((box.pixels() + channels) * WgmmaTile::depth *
                                               TensorBox::element_bytes);
  plan.blocks = static_cast<unsigned>(divide_up(pass.batch, box.images) * tiles_h * channel_tiles);
  plan.vectorised = is_vectorised(pass, epilogue, y, y_bytes);
  return plan;
}

ConvWgmmaInput ConvWgmmaInput::make(const ConvPass& pass, const WgmmaBox& box, int channels,
                                    const void* x) {
  constexpr std::int64_t element = TensorBox::element_bytes;
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
          .swizzle = channels * TensorBox::element_bytes};
  return input;
}

ConvWgmmaBoxes ConvWgmmaBoxes::make(const ConvPass& pass, int channels, const void* x,
                                    const void* weight) {
  constexpr std::int64_t element = TensorBox::element_bytes;
  const std::int64_t taps = pass.kernel_h * pass.kernel_w, tap = pass.in_c * element;
  return {
      .x = ConvWgmmaInput::make(pass, WgmmaBox::of(pass.out_h, pass.out_w), WgmmaTile::depth, x),
      .weight = {.address = weight,
                 .rank = 3,
                 .size = {pass.in_c, taps, pass.out_c},
                 .stride = {element, tap, taps * tap},
                 .box = {WgmmaTile::depth, 1, channels}}};
}

}  // namespace pixeldp::kernels
