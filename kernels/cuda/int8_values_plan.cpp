#include "engine/error.hpp"
#include "kernels/cuda/int8_values.hpp"
#include "kernels/divide_up.hpp"

namespace pixeldp::kernels {
namespace {

std::uintptr_t address(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }

}  // namespace

RoundingGrid RoundingGrid::plan(const ScalingParams& params, std::int64_t filled, const float* x,
                                const float* residual, const Int8Target& target) {
  constexpr std::int64_t block_values = 4 * block_threads, most_blocks = 0x7fffffff;
  if (params.channels < 1 || params.pixels < 0 || filled < params.channels || filled % 4 != 0)
    fail("rounding to bytes: {} pixels of {} channels, filled up to {}", params.pixels,
         params.channels, filled);
  if (target.bytes == nullptr || address(target.bytes) % 4 != 0)
    fail("rounding to bytes: these must be somewhere, aligned to 4");
  if (params.pixels > most_blocks * block_values / filled)
    fail("rounding to bytes: {} pixels of {} channels are more than one launch can do",
         params.pixels, params.channels);
  return {.blocks = static_cast<unsigned>(divide_up(params.pixels * filled, block_values)),
          .vectorised =
              params.channels % 4 == 0 &&
              (address(x) | address(residual) | address(target.real)) % sizeof(float[4]) == 0};
}

void check_noise_bytes(std::int64_t elements, const float* prefix, const Int8Target& target) {
  if (elements % 4 != 0)
    fail("noise rounded to bytes: rows of {} elements are no multiples of 4", elements);
  if (address(prefix) % sizeof(float[4]) != 0 || target.bytes == nullptr ||
      address(target.bytes) % 4 != 0)
    fail("noise rounded to bytes: the prefix must be aligned to 16 bytes, the bytes to 4");
}

}  // namespace pixeldp::kernels
