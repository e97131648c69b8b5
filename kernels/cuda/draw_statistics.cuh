#pragma once

#include <cstdint>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/draw_statistics.hpp"
#include "kernels/cuda/lane.cuh"
#include "kernels/formulas/statistics.hpp"

/// From the features of rows to what they add to the statistics, for every kernel that ends there:
/// a warp makes the logits of four rows at a time, and then the scores of two, one a half-warp,
/// whose lanes are the 16 lanes of kernels/formulas/statistics.hpp.
namespace pixeldp::kernels::PIXELDP_DEVICE {

using Count = unsigned long long;  // a std::uint64_t as the atomic operations name it

inline constexpr unsigned whole_warp = 0xffffffffu;
inline constexpr int warp_rows = StatisticsGrid::warp_rows, half_classes = 5;

struct ScoreLane : Lane {
  using Doubles = double;
  using Wides = std::uint64_t;
};

/// Rows of logits are so far apart that those of the two halves lie in different banks: an odd
/// multiple of 16.
constexpr int logits_stride(int classes) { return classes / 32 * 32 + 16; }

/// The last dense layer, as in kernels/draw_statistics.hpp.
struct ScoreHead {
  const float* weight;
  const float* bias;
  std::int64_t width, classes;
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

/// The logits of a warp's rows, whose features begin at row(0) ... row(3). Classes past the end
/// repeat the last one.
template <class Row, int stride>
__device__ __forceinline__ void make_logits(const ScoreHead& head, const Row& row,
                                            float (&logits)[warp_rows][stride]) {
  const auto [weights, biases, width, classes] = head;
  const int lane = threadIdx.x % statistics_lanes, half = threadIdx.x / statistics_lanes % 2;
  for (std::int64_t tile = 0; tile < classes; tile += 2 * half_classes) {
    const std::int64_t first_class = tile + half * half_classes;
    DotProducts dot;
    for (int r = 0; r < warp_rows; ++r) dot.x[r] = row(r) + lane;
    for (int c = 0; c < half_classes; ++c) {
      const std::int64_t label = first_class + c < classes ? first_class + c : classes - 1;
      dot.w[c] = weights + label * width + lane;
    }
    std::int64_t k = 0;
#pragma unroll 4  // so that four steps share the arithmetic of their addresses
    for (; k + statistics_lanes <= width; k += statistics_lanes) dot.step(k, true);
    if (k < width) dot.step(k, k + lane < width);
    for (int c = 0; c < half_classes; ++c) {
      const std::int64_t label = first_class + c;
      const float bias = biases != nullptr && label < classes ? biases[label] : 0.0f;
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
  const int lane = threadIdx.x % statistics_lanes, half = threadIdx.x / statistics_lanes % 2;
  Top top = {-__builtin_inff(), lane, true};
  for (int c = lane; c < classes; c += statistics_lanes) {
    const float x = load_shared(logits + c);
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

/// Gives what the row of logits of each half-warp adds to add(kind, class, value), kinds as in
/// Totals, if the row `counts`. Destroys the logits. False where one of a row that counts is not
/// finite; such a row adds nothing.
template <class Add>
__device__ __forceinline__ bool score_rows(float* logits, int classes, bool counts,
                                           const Add& add) {
  const int lane = threadIdx.x % statistics_lanes;
  const Top top = top_of_half(logits, classes);
  // Padding scores exp(-86), as on a processor, so that not even a tie is rounded otherwise.
  double sum = 0.0;
  for (int c = lane; c - lane < classes; c += statistics_lanes) {
    const float logit = c < classes ? load_shared(logits + c) : -__builtin_inff();
    const float e = exp_nonpositive<ScoreLane>(Rounded(logit) - top.logit).value;
    if (c < classes) store_shared(logits + c, e);
    sum += static_cast<double>(e);
  }
  const double total = sum_of_half(sum);
  if (!counts) return true;
  if (!top.finite) return false;
  if (lane == 0) add(0, top.label, Count{1});
  for (int c = lane; c < classes; c += statistics_lanes) {
    const double score = static_cast<double>(load_shared(logits + c)) / total;
    add(1, c, fixed_point<ScoreLane>(score));
    add(2, c, fixed_point<ScoreLane>(score * score));
  }
  return true;
}

/// Sums of a block, in shared memory, which all its threads add to the totals of one image.
template <int capacity>
struct BlockSums {
  Count kind[3][capacity];

  __device__ __forceinline__ void clear(int classes, int thread, int threads) {
    for (auto& sums : kind)
      for (int c = thread; c < classes; c += threads) sums[c] = 0;
  }
  __device__ __forceinline__ void add_to(const Totals& totals, std::int64_t image, int classes,
                                         int thread, int threads) const {
    for (int k = 0; k < 3; ++k) {
      for (int c = thread; c < classes; c += threads) {
        const Count value = kind[k][c];
        if (value != 0) atomicAdd(totals.kind[k] + image * classes + c, value);
      }
    }
  }
};

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
