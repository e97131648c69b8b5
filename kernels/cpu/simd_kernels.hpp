#pragma once

#include <cstdint>

#include "kernels/cpu/dense_kernels.hpp"
#include "kernels/cpu/inference_kernels.hpp"
#include "kernels/cpu/product_kernels.hpp"
#include "kernels/cpu/row_kernels.hpp"
#include "kernels/cpu/simd.hpp"
#include "kernels/cpu/winograd_kernels.hpp"
#include "kernels/noise.hpp"

/// What one instruction set offers to the other files of this folder. The templates behind it, in
/// the headers simd_*.hpp, are compiled once per vector type.
///
/// The files simd_*.cpp are compiled with flags that not every processor obeys, so nothing that the
/// linker may merge with another file's copy can be in them: their vector types have internal
/// linkage, every function is a template over such a type, and no inline function of the standard
/// library or of the engine is called.
namespace pixeldp::kernels::cpu {

/// Consecutive elements of one row: y[i] = activation(prefix[i] + scale * z(4 * first_block + i)).
template <class T>
struct SpanOf {
  using Value = T;
  NoiseRow row;
  std::uint32_t first_block = 0;
  std::int64_t elements = 0;
  const T* prefix = nullptr;
  float* y = nullptr;
};
using NoiseSpan = SpanOf<float>;

/// The same of steps of a lattice, and what finds an element's cell exactly.
struct LatticeSpan : SpanOf<std::int32_t> {
  std::int32_t (*cell)(const NoiseParams& params, const LatticeSpan& span, std::int64_t element,
                       std::int32_t steps, std::uint32_t word) = nullptr;
};

/// Most rows that share one pass over the weights.
inline constexpr int max_tile_rows = 4;

/// logits[r][c] = weight[c] . features[r] + bias[c] for `rows` rows; rows of logits are `stride`
/// apart, a multiple of statistics_lanes.
struct LogitsTile {
  std::int64_t width = 0, classes = 0, stride = 0;
  int rows = 0;
  const float* features[max_tile_rows] = {};
  const float* weight = nullptr;
  const float* bias = nullptr;
  float* logits = nullptr;
};

/// What the rows of one image add up to: three arrays of `stride` entries, of which the last
/// stride - classes stay zero or are ignored.
struct LocalStatistics {
  std::uint64_t* votes = nullptr;
  std::uint64_t* sums = nullptr;
  std::uint64_t* squares = nullptr;
};

struct SimdKernels {
  /// Gaussian or Laplace only.
  void (*add_noise)(const NoiseParams& params, const NoiseSpan& span);
  void (*add_lattice_noise)(const NoiseParams& params, const LatticeSpan& span);
  int tile_rows;
  void (*logits)(const LogitsTile& tile);
  /// Adds one row's vote and scores; overwrites its logits. False, and nothing added, when a logit
  /// is not finite.
  bool (*add_scores)(float* logits, std::int64_t classes, const LocalStatistics& statistics);
  InferenceKernels inference;
  RowKernels rows;
  ProductKernels products;
  DenseKernels dense;
  WinogradKernels winograd;
};

extern const SimdKernels plain_kernels, avx2_kernels, avx512_kernels;

/// The kernels of a supported instruction set; fails on any other.
const SimdKernels& simd_kernels(InstructionSet set);

}  // namespace pixeldp::kernels::cpu
