#include <algorithm>
#include <iterator>

#include "engine/error.hpp"
#include "kernels/cuda/convolution_int8.hpp"
#include "kernels/divide_up.hpp"

namespace pixeldp::kernels {
namespace {

constexpr std::int64_t chunk = 16;

std::uintptr_t address(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }

std::int64_t taps(const Conv2dShape& s) { return s.kernel_h * s.kernel_w; }

/// Why results cannot go there; empty: they can.
std::string obstacle(const Int8Target& target, std::int64_t channels) {
  if (target.bytes == nullptr) return {};
  if (channels % 4 != 0) return "pixels of bytes must be multiples of 4";
  return address(target.bytes) % 4 == 0 ? "" : "bytes must be aligned to 4";
}

}  // namespace

Int8ConvTile choose_int8_tile(std::int64_t pixels, std::int64_t channels, const Arch& arch) {
  constexpr std::int64_t l2_bytes_per_clock = 64;
  const std::int64_t operand_time = 2 * arch.tensor_products / l2_bytes_per_clock;
  const auto time = [&](const Int8ConvTile& t) {
    const std::int64_t blocks = divide_up(pixels, t.m) * divide_up(channels, t.n);
    return divide_up(blocks, arch.multiprocessors) * (t.m * t.n + operand_time * (t.m + t.n));
  };
  return *std::min_element(
      std::begin(int8_conv_tiles), std::end(int8_conv_tiles),
      [&](const Int8ConvTile& a, const Int8ConvTile& b) { return time(a) < time(b); });
}

Int8ConvPlan Int8ConvPlan::make(const Conv2dShape& s, const Int8ConvTile& tile, const void* x,
                                const void* weight, const Int8Epilogue& epilogue) {
  check_conv2d_shape(s);
  const auto refuse = [&](std::string_view why) { fail("{} in int8: {}", describe(s), why); };
  if (std::ranges::find(int8_conv_tiles, tile) == std::end(int8_conv_tiles))
    refuse("there is no kernel of such a tile");
  if ((address(x) | address(weight)) % 16 != 0) refuse("operands must be aligned to 16 bytes");
  if (epilogue.scale == nullptr || (epilogue.writes_next() && (epilogue.next_scale == nullptr ||
                                                               epilogue.next_shift == nullptr)))
    refuse("sums have no scale, or what follows y has none or no shift");
  for (const Int8Target& target : {epilogue.y, epilogue.next})
    if (const std::string why = obstacle(target, s.out_c); !why.empty()) refuse(why);

  // Positions, and offsets within the images that one tile can meet and within a tile of the
  // weight, are 32 bits; a tap leads beyond the image by the padding and the kernel at most.
  constexpr std::int64_t most = 1 << 30;
  const auto exceeds = [](std::initializer_list<std::int64_t> factors) {
    std::int64_t product = 1;
    for (const std::int64_t factor : factors)
      if (factor > most || (product *= factor) > most) return true;
    return false;
  };
  const std::int64_t in_chunks = divide_up(s.in_c, chunk), image_pixels = s.out_h() * s.out_w();
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
  plan.step_chunk = Int8ConvTile::chunks % plan.in_chunks;
  plan.step_s = Int8ConvTile::chunks / plan.in_chunks % plan.kernel_w;
  plan.step_r = Int8ConvTile::chunks / plan.in_chunks / plan.kernel_w;
  plan.channel_tiles = to_int(channel_tiles);
  plan.blocks = static_cast<unsigned>(divide_up(plan.pixels, tile.m) * channel_tiles);
  plan.vectorised = s.out_c % 4 == 0 && (address(epilogue.residual) | address(epilogue.y.real) |
                                         address(epilogue.next.real)) %
                                                sizeof(float[4]) ==
                                            0;
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
