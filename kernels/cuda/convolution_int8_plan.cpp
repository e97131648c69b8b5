#include <algorithm>
#include <iterator>

#include "engine/error.hpp"
#include "kernels/cuda/convolution_int8.hpp"
#include "kernels/cuda/convolution_wgmma.hpp"
#include "kernels/divide_up.hpp"

namespace pixeldp::kernels {
namespace {

std::uintptr_t address(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }

std::int64_t taps(const Conv2dShape& s) { return s.kernel_h * s.kernel_w; }

}  // namespace

bool Int8Epilogue::is_vectorised(std::int64_t channels) const {
  return channels % 4 == 0 &&
         (address(residual) | address(y.real) | address(next.real)) % sizeof(float[4]) == 0;
}

std::string_view Int8Epilogue::obstacle(std::int64_t channels) const {
  if (scale == nullptr || (writes_next() && (next_scale == nullptr || next_shift == nullptr)))
    return "sums have no scale, or what follows y has none or no shift";
  for (const std::int8_t* const bytes : {y.bytes, next.bytes}) {
    if (bytes == nullptr) continue;
    if (channels % 4 != 0) return "pixels of bytes must be multiples of 4";
    if (address(bytes) % 4 != 0) return "bytes must be aligned to 4";
  }
  return {};
}

double int8_tile_clocks(const ConvTile& tile, std::int64_t pixels, std::int64_t channels,
                        const Arch& arch) {
  const std::int64_t blocks = divide_up(pixels, tile.m) * divide_up(channels, tile.n);
  const double slower = arch.warpgroup_products ? 1.5 : 1.0;
  return static_cast<double>(divide_up(blocks, arch.multiprocessors)) *
         (slower * tile.m * tile.n / arch.int8_products + (tile.m + tile.n) / l2_bytes_per_clock);
}

ConvTile choose_int8_tile(std::int64_t pixels, std::int64_t channels, const Arch& arch) {
  return std::ranges::min(int8_conv_tiles, {}, [&](const ConvTile& tile) {
    return int8_tile_clocks(tile, pixels, channels, arch);
  });
}

Int8ConvKernel Int8ConvKernel::choose(const Conv2dShape& s, const Arch& arch) {
  check_conv2d_shape(s);
  const std::int64_t pixels = s.batch * s.out_h() * s.out_w(),
                     depth = taps(s) * int8_channels(s.in_c);
  const ConvTile tile = choose_int8_tile(pixels, s.out_c, arch);
  const WgmmaInt8Time time = WgmmaInt8Time::of(s, arch);
  const double clocks = int8_tile_clocks(tile, pixels, s.out_c, arch) * static_cast<double>(depth);
  return {time.channels > 0 && time.clocks < clocks ? time.channels : 0, tile};
}

Int8ConvPlan Int8ConvPlan::make(const Conv2dShape& s, const ConvTile& tile, const void* x,
                                const void* weight, const Int8Epilogue& epilogue) {
  check_conv2d_shape(s);
  const auto refuse = [&](std::string_view why) { fail("{} in int8: {}", describe(s), why); };
  if (std::ranges::find(int8_conv_tiles, tile) == std::end(int8_conv_tiles))
    refuse("there is no kernel of such a tile");
  if ((address(x) | address(weight)) % 16 != 0) refuse("operands must be aligned to 16 bytes");
  if (const std::string_view why = epilogue.obstacle(s.out_c); !why.empty()) refuse(why);

  // Positions, and offsets within the images that one tile can meet and within a tile of the
  // weight, are 32 bits; a tap leads beyond the image by the padding and the kernel at most.
  constexpr std::int64_t most = 1 << 30;
  const auto exceeds = [](std::initializer_list<std::int64_t> factors) {
    std::int64_t product = 1;
    for (const std::int64_t factor : factors)
      if (factor > most || (product *= factor) > most) return true;
    return false;
  };
  const std::int64_t in_chunks = divide_up(s.in_c, int8_chunk),
                     image_pixels = s.out_h() * s.out_w();
  const auto reach = [](std::int64_t extent, const Padding& pad, std::int64_t kernel) {
    return extent + pad.before + pad.after + kernel;
  };
  const std::int64_t images = (tile.m - 1) / std::max<std::int64_t>(image_pixels, 1) + 2;
  if (exceeds({images, reach(s.in_h, s.pad_h, s.kernel_h), reach(s.in_w, s.pad_w, s.kernel_w),
               in_chunks}) ||
      exceeds({s.stride}) || exceeds({s.out_c}) ||
      exceeds({tile.n, s.kernel_h, s.kernel_w, in_chunks}))
    refuse("the images of one tile, or its kernels, exceed 2^30 vectors of 16 channels");
  const std::int64_t channel_tiles = divide_up(s.out_c, tile.n);
  if (s.batch > (std::int64_t{1} << 40) / image_pixels ||
      divide_up(s.batch * image_pixels, tile.m) > most / channel_tiles)
    refuse("one launch has at most 2^30 tiles: make the batch smaller");

  const auto to_int = [](std::int64_t value) { return static_cast<int>(value); };
  Int8ConvPlan plan;
  plan.pixels = s.batch * image_pixels;
  plan.image_chunks = s.in_h * s.in_w * in_chunks;
  plan.in_h = to_int(s.in_h), plan.in_w = to_int(s.in_w), plan.in_chunks = to_int(in_chunks);
  plan.image_pixels = to_int(image_pixels);
  plan.out_w = to_int(s.out_w()), plan.out_c = to_int(s.out_c);
  plan.kernel_w = to_int(s.kernel_w), plan.stride = to_int(s.stride);
  plan.pad_h = to_int(s.pad_h.before), plan.pad_w = to_int(s.pad_w.before);
  plan.taps_chunks = to_int(taps(s) * in_chunks);
  plan.step_chunk = ConvTile::chunks % plan.in_chunks;
  plan.step_s = ConvTile::chunks / plan.in_chunks % plan.kernel_w;
  plan.step_r = ConvTile::chunks / plan.in_chunks / plan.kernel_w;
  plan.channel_tiles = to_int(channel_tiles);
  plan.blocks = static_cast<unsigned>(divide_up(plan.pixels, tile.m) * channel_tiles);
  plan.vectorised = epilogue.is_vectorised(s.out_c);
  return plan;
}

std::int64_t packed_int8_size(const Conv2dShape& s) {
  return s.out_c * taps(s) * int8_channels(s.in_c);
}

std::vector<std::int8_t> pack_int8_weight(const Conv2dShape& s,
                                          std::span<const std::int8_t> weight) {
  std::vector<std::int8_t> packed(static_cast<std::size_t>(packed_int8_size(s)), 0);
  const std::int64_t filled = int8_channels(s.in_c);
  for (std::int64_t o = 0; o < s.out_c; ++o)
    for (std::int64_t c = 0; c < s.in_c; ++c)
      for (std::int64_t tap = 0; tap < taps(s); ++tap)
        packed[static_cast<std::size_t>((o * taps(s) + tap) * filled + c)] =
            weight[static_cast<std::size_t>((o * s.in_c + c) * taps(s) + tap)];
  return packed;
}

}  // namespace pixeldp::kernels
