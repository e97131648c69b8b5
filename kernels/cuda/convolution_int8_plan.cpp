#include <algorithm>

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

Int8ConvKernel Int8ConvKernel::choose(const Conv2dShape& s, const Arch& arch) {
  check_conv2d_shape(s);
  const ConvPass pass = ConvPass::forward(s, int8_chunk);
  const ConvTile tile = choose_conv_tile(pass, int8_chunk, arch);
  const WgmmaInt8Time by_warpgroups = WgmmaInt8Time::of(s, arch);
  if (by_warpgroups.channels == 0) return {0, tile};
  constexpr double slower = 1.5;
  const ConvTime time = ConvTime::of(pass, int8_chunk, tile, arch);
  const double clocks = (slower * time.tensor + time.l2) * arch.clock;
  return {by_warpgroups.clocks < clocks ? by_warpgroups.channels : 0, tile};
}

ConvPlan int8_conv_plan(const Conv2dShape& s, const ConvTile& tile, const void* x,
                        const void* weight, const Int8Epilogue& epilogue) {
  check_conv2d_shape(s);
  if (const std::string_view why = epilogue.obstacle(s.out_c); !why.empty())
    fail("{} in int8: {}", describe(s), why);
  ConvPlan plan = ConvPlan::of_tiles(ConvPass::forward(s, int8_chunk), int8_chunk, tile, x, weight);
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
