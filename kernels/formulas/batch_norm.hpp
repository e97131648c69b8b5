#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/batch_norm.hpp"
#include "kernels/formulas/special_functions.hpp"

/// The formulas of batch normalisation and the order of its sums, written once for processors and
/// GPUs. Nothing is fused, so both round alike.
namespace pixeldp::kernels {

/// The order in which the rows of a channel are summed. Rows are cut into splits, and a split into
/// groups of 8 rows, which are dealt to row lanes in turn: group g goes to lane g mod row_lanes. A
/// lane takes its rows in ascending order; a tree sums the lanes, lane l and lane l + n/2 of n at
/// each step. Splits are dealt to merge_lanes lanes and summed in the same way.
///
/// On a GPU a block sums one split of channel_lanes x 4 channels, a thread to each row lane and 4
/// channels.
struct BatchNormOrder {
  static constexpr int block_threads = 256, thread_channels = 4, group_rows = 8, merge_lanes = 8;

  int channel_lanes = 1;  ///< a power of two, at most 32
  int row_lanes = 1;      ///< block_threads / channel_lanes
  std::int64_t channel_tiles = 0;
  std::int64_t split_rows = 0;  ///< a multiple of row_lanes * group_rows
  int splits = 0;

  static BatchNormOrder make(const BatchNormParams& params);
};

/// Mean, and sum of squared distances from it, of some rows.
struct Moments {
  float mean = 0.0f, squares = 0.0f;
};

/// What the moments of b rows weigh when they are merged into those of a rows.
struct MergeWeights {
  float share = 0.0f;  ///< b / (a + b)
  float cross = 0.0f;  ///< a b / (a + b)
};

PIXELDP_HOST_DEVICE inline MergeWeights merge_weights(std::int64_t a, std::int64_t b) {
  if (b == 0) return {};
  const float share = static_cast<float>(b) / static_cast<float>(a + b);
  return {share, static_cast<float>(a) * share};
}

/// Chan, Golub and LeVeque's formula.
PIXELDP_HOST_DEVICE inline Moments merge(Moments a, Moments b, MergeWeights weights) {
  const float distance = b.mean - a.mean;
  return {a.mean + distance * weights.share,
          a.squares + (b.squares + distance * distance * weights.cross)};
}

PIXELDP_HOST_DEVICE inline float inverse_deviation(float variance, float epsilon) {
  return 1.0f / sqrtf(variance + epsilon);
}

PIXELDP_HOST_DEVICE inline float update_running(float momentum, float running, float batch) {
  return momentum * running + (1.0f - momentum) * batch;
}

/// One channel of a batch: y = activation(scale * (x - mean) + beta).
struct BatchNormChannel {
  float mean, invstd, scale, beta;

  PIXELDP_HOST_DEVICE static BatchNormChannel of(float mean, float invstd, float gamma,
                                                 float beta) {
    return {mean, invstd, gamma * invstd, beta};
  }
};

/// One channel of batch normalisation by fixed statistics: y = activation(scale * x + shift).
struct ScaleShift {
  float scale, shift;

  PIXELDP_HOST_DEVICE static ScaleShift of(float gamma, float beta, float mean, float variance,
                                           float epsilon) {
    const float scale = gamma / sqrtf(variance + epsilon);
    return {scale, beta - mean * scale};
  }
};

PIXELDP_HOST_DEVICE inline float activated(float z, float slope) {
  return z > 0.0f ? z : slope * z;
}

PIXELDP_HOST_DEVICE inline float normalised(const BatchNormChannel& c, float x, float slope) {
  return activated((x - c.mean) * c.scale + c.beta, slope);
}

PIXELDP_HOST_DEVICE inline float normalised(const ScaleShift& c, float x, float slope) {
  return activated(c.scale * x + c.shift, slope);
}

/// The gradient in z, of which y = activation(z).
PIXELDP_HOST_DEVICE inline float masked_gradient(const BatchNormChannel& c, float x, float dy,
                                                 float slope) {
  return (x - c.mean) * c.scale + c.beta > 0.0f ? dy : slope * dy;
}

PIXELDP_HOST_DEVICE inline float input_gradient(const BatchNormChannel& c, float mean_gradient,
                                                float mean_product, float x, float dy,
                                                float slope) {
  const float xhat = (x - c.mean) * c.invstd;
  return c.scale * (masked_gradient(c, x, dy, slope) - mean_gradient - xhat * mean_product);
}

}  // namespace pixeldp::kernels
