/// x = weight * features[r] + bias,  p = softmax(x),  i = row_image[r]
/// votes[i, argmax x] += 1,  sums[i, c] += round(p_c * 2^32),  squares[i, c] += round(p_c^2 * 2^32)
///
/// as defined in kernels/draw_statistics.hpp, with the order of every sum and the formulas of
/// kernels/statistics_formulas.hpp, which the processor's kernels share: the same integers.
///
/// Layouts: features [rows, width], weight [classes, width], bias [classes] or null, row_image
/// [rows], dense, of any alignment; votes, sums, squares [images, classes].
///
/// Work: a half-warp's lanes are the 16 partial sums of a dot product; a warp makes the logits of
/// four rows and ten classes (five a half) at a time, so a loaded weight serves four rows and a
/// loaded feature five classes, and then the scores of two rows at a time, one a half. What the
/// rows of a block add to one image, the highest one that it meets, is first summed in shared
/// memory; rows of other images add to the totals themselves. Additions are of integers, so their
/// order changes nothing.
///
/// Fused: dense layer, softmax, argmax, statistics. Never written to global memory: logits, scores.
///
/// Bytes: a warp reads its four rows of features and ten classes of weights, most of which come
/// from the caches: 4 * width * (rows * classes / 10 + rows * classes / 4), where neither divides,
/// rounded up. Added to the totals: 24 per class and block of up to 32 rows.
///
/// Operations: rows * width * classes multiply-additions in single precision; for each warp-wide
/// one 3.4 instructions of PTX (1024 rows, 640 features, 10 classes; counted, not timed on a GPU).
/// Per score, an exponential of 11 operations, and a division and 4 more in double precision.
#include <iterator>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/draw_statistics.hpp"
#include "kernels/cuda/lane.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/draw_statistics_arguments.hpp"
#include "kernels/statistics_formulas.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

using Count = unsigned long long;  // a std::uint64_t as the atomic operations name it

constexpr unsigned whole_warp = 0xffffffffu;
constexpr int warp_rows = StatisticsGrid::warp_rows, half_classes = 5;

struct ScoreLane : Lane {
  using Doubles = double;
  using Wides = std::uint64_t;
};

template <int shape>
struct SharedStorage {
  static constexpr int classes = StatisticsGrid::shapes[shape].capacity;
  static constexpr int warps = StatisticsGrid::shapes[shape].warps;
  static constexpr int threads = 32 * warps, rows = warp_rows * warps;
  static_assert(rows <= 32, "each warp looks up the images of all rows of the block");

  /// An odd multiple of 16, so that the two rows of a warp lie in different banks.
  static constexpr int row_stride = classes / 32 * 32 + 16;

  Count sums[3][classes];
  float logits[warps][warp_rows][row_stride];
};

struct Input {
  DrawStatisticsParams params;
  const float* features;
  const float* weight;
  const float* bias;
  const std::int64_t* row_image;
};

struct Totals {
  Count* kind[3];  // votes, sums, squares
  Count* bad_row;
};

/// The tree over the 16 lanes of a half-warp; both halves at once, and all lanes get the sum.
template <class T>
__device__ __forceinline__ T sum_of_half(T value) {
  for (int bits = statistics_lanes / 2; bits > 0; bits /= 2)
    value = value + __shfl_xor_sync(whole_warp, value, bits);
  return value;
}

__device__ __forceinline__ std::int64_t at_most(std::int64_t a, std::int64_t b) {
  return a < b ? a : b;
}

/// One step of the dot products of a half-warp: a lane's feature of each row by its weight of each
/// class. Not `inside`: the lane lies past the last feature and adds nothing.
struct DotProducts {
  const float* x[warp_rows];
  const float* w[half_classes];
  float sum[warp_rows][half_classes] = {};

  __device__ __forceinline__ void step(std::int64_t k, bool inside) {
    float features[warp_rows];
    for (int r = 0; r < warp_rows; ++r) features[r] = inside ? x[r][k] : 0.0f;
    for (int c = 0; c < half_classes; ++c) {
      const float weight = inside ? w[c][k] : 0.0f;
      for (int r = 0; r < warp_rows; ++r) sum[r][c] = __fmaf_rn(features[r], weight, sum[r][c]);
    }
  }
};

/// The logits of a warp's rows. Rows and classes past the end repeat the last one.
template <int stride>
__device__ __forceinline__ void make_logits(const Input& input, std::int64_t first_row,
                                            float (&logits)[warp_rows][stride]) {
  const auto [rows, width, classes] = input.params;
  const int lane = threadIdx.x % statistics_lanes, half = threadIdx.x / statistics_lanes;
  for (std::int64_t tile = 0; tile < classes; tile += 2 * half_classes) {
    const std::int64_t first_class = tile + half * half_classes;
    DotProducts dot;
    for (int r = 0; r < warp_rows; ++r)
      dot.x[r] = input.features + at_most(first_row + r, rows - 1) * width + lane;
    for (int c = 0; c < half_classes; ++c)
      dot.w[c] = input.weight + at_most(first_class + c, classes - 1) * width + lane;
    std::int64_t k = 0;
#pragma unroll 4  // so that four steps share the arithmetic of their addresses
    for (; k + statistics_lanes <= width; k += statistics_lanes) dot.step(k, true);
    if (k < width) dot.step(k, k + lane < width);
    for (int c = 0; c < half_classes; ++c) {
      const std::int64_t label = first_class + c;
      const float bias = input.bias != nullptr && label < classes ? input.bias[label] : 0.0f;
      for (int r = 0; r < warp_rows; ++r) {
        const float logit = __fadd_rn(sum_of_half(dot.sum[r][c]), bias);
        if (label < classes && (r * half_classes + c) % statistics_lanes == lane)
          logits[r][label] = logit;
      }
    }
  }
  __syncwarp();
}

/// The largest logit, its lowest index, and whether all logits of the row are finite.
struct Top {
  float logit;
  int label;
  bool finite;
};

__device__ __forceinline__ Top top_of_half(const float* logits, int classes) {
  const int lane = threadIdx.x % statistics_lanes, half = threadIdx.x / statistics_lanes;
  Top top = {-__builtin_inff(), lane, true};
  for (int c = lane; c < classes; c += statistics_lanes) {
    const float x = logits[c];
    constexpr unsigned exponent = 0x7f800000;
    top.finite = top.finite && (__float_as_uint(x) & exponent) != exponent;
    if (x > top.logit) top.logit = x, top.label = c;
  }
  for (int bits = statistics_lanes / 2; bits > 0; bits /= 2) {
    const float logit = __shfl_xor_sync(whole_warp, top.logit, bits);
    const int label = __shfl_xor_sync(whole_warp, top.label, bits);
    if (logit > top.logit || (logit == top.logit && label < top.label))
      top.logit = logit, top.label = label;
  }
  const unsigned bad_lanes = __ballot_sync(whole_warp, !top.finite);
  top.finite = (bad_lanes >> (half * statistics_lanes) & 0xffff) == 0;
  return top;
}

template <class Storage>
__global__ void __launch_bounds__(Storage::threads, 1)
    draw_statistics_kernel(Input input, Totals totals) {
  Storage& shared = shared_storage<Storage>();
  const int classes = static_cast<int>(input.params.classes);
  const int warp = threadIdx.y, thread = warp * 32 + threadIdx.x;
  const std::int64_t first_row = std::int64_t{blockIdx.x} * Storage::rows;

  std::int64_t image = -1;  // of row first_row + lane
  if (threadIdx.x < Storage::rows && first_row + threadIdx.x < input.params.rows)
    image = input.row_image[first_row + threadIdx.x];
  std::int64_t block_image = image;
  for (int bits = 16; bits > 0; bits /= 2) {
    const std::int64_t other = __shfl_xor_sync(whole_warp, block_image, bits);
    if (other > block_image) block_image = other;
  }
  if (block_image < 0) return;  // the whole block: padding only

  for (int kind = 0; kind < 3; ++kind)
    for (int c = thread; c < classes; c += Storage::threads) shared.sums[kind][c] = 0;
  __syncthreads();

  const unsigned counts = __ballot_sync(whole_warp, image >= 0) >> (warp * warp_rows);
  if ((counts & ((1u << warp_rows) - 1)) != 0) {
    auto& logits = shared.logits[warp];
    make_logits(input, first_row + warp * warp_rows, logits);
    const int lane = threadIdx.x % statistics_lanes, half = threadIdx.x / statistics_lanes;
    for (int pair = 0; pair < warp_rows; pair += 2) {
      const int row = warp * warp_rows + pair + half;
      float* const x = logits[pair + half];
      const std::int64_t row_image = __shfl_sync(whole_warp, image, row);
      const auto add = [&](int kind, int c, Count value) {
        Count* const sum = row_image == block_image ? &shared.sums[kind][c]
                                                    : totals.kind[kind] + row_image * classes + c;
        if (value != 0) atomicAdd(sum, value);
      };

      const Top top = top_of_half(x, classes);
      // Padding scores exp(-86), as on a processor, so that not even a tie is rounded otherwise.
      double sum = 0.0;
      for (int c = lane; c - lane < classes; c += statistics_lanes) {
        const float logit = c < classes ? x[c] : -__builtin_inff();
        const float e = exp_nonpositive<ScoreLane>(Rounded(logit) - top.logit).value;
        if (c < classes) x[c] = e;
        sum += static_cast<double>(e);
      }
      const double total = sum_of_half(sum);
      if (row_image < 0) continue;
      if (!top.finite) {
        if (lane == 0) atomicMin(totals.bad_row, static_cast<Count>(first_row + row));
        continue;
      }
      if (lane == 0) add(0, top.label, 1);
      for (int c = lane; c < classes; c += statistics_lanes) {
        const double score = static_cast<double>(x[c]) / total;
        add(1, c, fixed_point<ScoreLane>(score));
        add(2, c, fixed_point<ScoreLane>(score * score));
      }
    }
  }
  __syncthreads();

  for (int kind = 0; kind < 3; ++kind) {
    for (int c = thread; c < classes; c += Storage::threads) {
      const Count value = shared.sums[kind][c];
      if (value != 0) atomicAdd(totals.kind[kind] + block_image * classes + c, value);
    }
  }
}

template <int shape>
void run(void* stream, const StatisticsGrid& grid, const Input& input, const Totals& totals) {
  using Storage = SharedStorage<shape>;
  if (grid.shape.capacity == Storage::classes) {
    launch<draw_statistics_kernel<Storage>>(grid.blocks, dim3(32, Storage::warps), sizeof(Storage),
                                            static_cast<cudaStream_t>(stream), input, totals);
  } else if constexpr (shape + 1 < std::size(StatisticsGrid::shapes)) {
    run<shape + 1>(stream, grid, input, totals);
  }
}

}  // namespace

void draw_statistics(void* stream, const DrawStatisticsParams& params, const float* features,
                     const float* weight, const float* bias, const std::int64_t* row_image,
                     std::uint64_t* votes, std::uint64_t* sums, std::uint64_t* squares,
                     std::uint64_t* bad_row) {
  check_draw_statistics_arguments(params);
  const StatisticsGrid grid = StatisticsGrid::plan(params);
  if (params.rows == 0) return;
  const auto counts = [](std::uint64_t* values) { return reinterpret_cast<Count*>(values); };
  run<0>(stream, grid, {params, features, weight, bias, row_image},
         {{counts(votes), counts(sums), counts(squares)}, counts(bad_row)});
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
