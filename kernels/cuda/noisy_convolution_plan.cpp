#include "engine/error.hpp"
#include "kernels/cuda/noisy_convolution.hpp"
#include "kernels/divide_up.hpp"
#include "kernels/noise.hpp"

namespace pixeldp::kernels {
bool NoisyConvPlan::supports(const Conv2dShape& s) {
  constexpr std::int64_t most_values = 1 << 30;  // of an image or the weight, counted in 32 bits
  const auto fits = [](std::int64_t a, std::int64_t b, std::int64_t c) {
    return a >= 1 && b >= 1 && c >= 1 && a <= most_values && b <= most_values / a &&
           c <= most_values / (a * b);
  };
  const Padding pad = {s.kernel_h / 2, s.kernel_h / 2};
  return (s.kernel_h == 3 || s.kernel_h == 5) && s.kernel_w == s.kernel_h && s.stride == 1 &&
         s.pad_h == pad && s.pad_w == pad && (s.in_c == 16 || s.in_c == 32) && s.out_c % 16 == 0 &&
         fits(s.in_h, s.in_w, s.in_c) && fits(s.in_h, s.in_w, s.out_c) &&
         fits(s.kernel_h * s.kernel_w, s.in_c, s.out_c);
}

void NoisyConvPlan::check_supported(const Conv2dShape& shape) {
  if (supports(shape)) return;
  fail(
      "no kernel makes noise in front of the {}: it takes 3x3 or 5x5, stride 1, equal padding "
      "that leaves the size, 16 or 32 channels to a multiple of 16; use add_noise and a "
      "convolution",
      describe(shape));
}

NoisyConvPlan NoisyConvPlan::make(const Conv2dShape& s, const NoisyInput& input,
                                  std::int64_t row_count, const float* prefix,
                                  const std::uint16_t* weight, const ConvEpilogue& epilogue,
                                  const void* y, const std::uint16_t* x) {
  check_supported(s);
  check_noise_arguments(input.noise, row_count, s.in_h * s.in_w * s.in_c);
  if (epilogue.residual_fp32 != nullptr)
    fail(
        "noise in front of the {}: the epilogue's residual_fp32 is not taken; give a residual in "
        "bf16",
        describe(s));
  if (epilogue.next != nullptr)
    fail("noise in front of the {}: what follows y is not taken; do it in a pass of its own",
         describe(s));
  const auto address = [](const void* p) { return reinterpret_cast<std::uintptr_t>(p); };
  if ((address(prefix) | address(weight) | address(y) | address(x) | address(epilogue.scale) |
       address(epilogue.shift) | address(epilogue.residual)) %
          16 !=
      0)
    fail("noise in front of the {}: arrays must be aligned to 16 bytes", describe(s));
  const std::int64_t row_tiles = divide_up(s.in_w, side);
  const std::int64_t tiles = row_tiles * divide_up(s.in_h, side);
  constexpr std::int64_t most_blocks = 0x7fffffff;
  if (row_count > most_blocks / tiles)
    fail("noise in front of the {}, {} rows: one launch can do {}", describe(s), row_count,
         most_blocks / tiles);
  NoisyConvPlan plan;
  plan.h = static_cast<int>(s.in_h), plan.w = static_cast<int>(s.in_w);
  plan.out_c = static_cast<int>(s.out_c);
  plan.row_tiles = static_cast<int>(row_tiles), plan.tiles = static_cast<int>(tiles);
  plan.blocks = static_cast<unsigned>(row_count * tiles);
  return plan;
}

}  // namespace pixeldp::kernels
