#pragma once

#include <cstdint>
#include <vector>

#include "kernels/noise.hpp"

/// What the tests run both through the emulator and as compiled PTX. on_device.cu is compiled
/// twice, into namespace cuda and into namespace emulated.
namespace pixeldp::kernels {

/// Kernels of one warp that turn 32-bit words into 32-bit words, one instruction or function each.
enum class Probe {
  shuffles,
  votes,
  ldmatrix,
  mma_bf16,
  mma_tf32,
  mma_s8,
  conversions,
  arithmetic,
  cp_async,
};
inline constexpr Probe probes[] = {Probe::shuffles,    Probe::votes,      Probe::ldmatrix,
                                   Probe::mma_bf16,    Probe::mma_tf32,   Probe::mma_s8,
                                   Probe::conversions, Probe::arithmetic, Probe::cp_async};
inline constexpr int probe_inputs = 32 * 16, probe_outputs = 32 * 32;

struct Gemm {
  int m, n, k;
  std::vector<std::uint16_t> a, b;  ///< bf16, [m, k] and [n, k]
};

/// y of add_noise with prefix and y `skip` floats away from alignment; `margin`
/// sentinels in front of y and behind it are part of the result.
struct NoiseCase {
  static constexpr std::size_t margin = 64;
  static constexpr float sentinel = 12345.0f;

  NoiseParams params;
  std::vector<NoiseRow> rows;
  std::vector<float> prefix;
  std::int64_t elements = 0;
  std::size_t skip = 0;

  std::vector<float> blank() const {
    return std::vector<float>(rows.size() * static_cast<std::size_t>(elements) + 2 * margin + skip,
                              sentinel);
  }
};

namespace cuda {
/// False where there is neither a GPU nor the interpreter.
bool has_device();
std::vector<std::uint32_t> run(Probe probe, const std::vector<std::uint32_t>& inputs);
std::vector<float> run(const Gemm& gemm);
std::vector<float> run(const NoiseCase& noise);
}  // namespace cuda

namespace emulated {
bool has_device();
std::vector<std::uint32_t> run(Probe probe, const std::vector<std::uint32_t>& inputs);
std::vector<float> run(const Gemm& gemm);
std::vector<float> run(const NoiseCase& noise);
}  // namespace emulated

}  // namespace pixeldp::kernels
