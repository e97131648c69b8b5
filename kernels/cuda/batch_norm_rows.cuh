#pragma once

#include <cstdint>

#include "kernels/cuda/batch_norm.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/ptx/convert.cuh"

/// What a thread of batch normalisation (batch_norm.cu) has of tensors [rows, channels]: its four
/// channels and groups of rows, its sums, and how those of a block become one.
namespace pixeldp::kernels::PIXELDP_DEVICE::batch_norm_rows {

using Order = BatchNormOrder;
inline constexpr int block_threads = Order::block_threads, group_rows = Order::group_rows;
inline constexpr int vector = Order::thread_channels;

// ---- Sums of `width` channels, and how two of them become one

template <int width>
struct MomentSums {
  std::int64_t rows = 0;
  float mean[width] = {}, squares[width] = {};

  __device__ __forceinline__ void merge_with(const MomentSums& other) {
    const MergeWeights weights = merge_weights(rows, other.rows);
    for (int j = 0; j < width; ++j) {
      const Moments m = merge({mean[j], squares[j]}, {other.mean[j], other.squares[j]}, weights);
      mean[j] = m.mean, squares[j] = m.squares;
    }
    rows += other.rows;
  }
  __device__ __forceinline__ float first(int j) const { return mean[j]; }
  __device__ __forceinline__ float second(int j) const { return squares[j]; }
  __device__ __forceinline__ static MomentSums of(std::int64_t rows, float mean, float squares) {
    return {rows, {mean}, {squares}};
  }
};

template <int width>
struct GradientSums {
  float gradient[width] = {}, product[width] = {};

  __device__ __forceinline__ void merge_with(const GradientSums& other) {
    for (int j = 0; j < width; ++j) {
      gradient[j] += other.gradient[j];
      product[j] += other.product[j];
    }
  }
  __device__ __forceinline__ float first(int j) const { return gradient[j]; }
  __device__ __forceinline__ float second(int j) const { return product[j]; }
  __device__ __forceinline__ static GradientSums of(std::int64_t, float gradient, float product) {
    return {{gradient}, {product}};
  }
};

template <class Sums>
struct SharedStorage {
  Sums sums[block_threads];
};

/// Merges the sums of `lanes` lanes, each of `stride` neighbouring threads, into the first lane's.
template <class Sums>
__device__ __forceinline__ void merge_lanes(Sums& own, int lanes, int stride) {
  auto& shared = shared_storage<SharedStorage<Sums>>();
  const int thread = static_cast<int>(threadIdx.x), lane = thread / stride;
  shared.sums[thread] = own;
  for (int step = lanes / 2; step > 0; step /= 2) {
    __syncthreads();
    if (lane < step) {
      own.merge_with(shared.sums[thread + step * stride]);
      shared.sums[thread] = own;
    }
  }
}

// ---- Access to tensors

struct Four {
  float value[vector] = {};
};

// Where results go: float* in single precision, Rounded in bf16, Both in both.
struct Rounded {
  std::uint16_t* values;
};
struct Both {
  float* values;
  Rounded rounded;
};

/// A thread's channels and rows.
template <bool vectorised>
struct Place {
  std::int64_t channels, row, end, step;  // rows row, row + step, ... begin the thread's groups
  std::int64_t channel;                   // the first of four
  int row_lane, existing;                 // channels: 4, or fewer, or none at the end

  __device__ __forceinline__ explicit Place(const BatchNormGrid& grid) {
    const int thread = static_cast<int>(threadIdx.x), lanes = grid.order.channel_lanes;
    channels = grid.channels;
    channel = (std::int64_t{blockIdx.x} * lanes + thread % lanes) * vector;
    const std::int64_t left = channels - channel;
    existing = left < 0 ? 0 : left < vector ? static_cast<int>(left) : vector;
    row_lane = thread / lanes;
    const std::int64_t first = blockIdx.y * grid.order.split_rows;
    end = first + grid.order.split_rows < grid.rows ? first + grid.order.split_rows : grid.rows;
    row = existing > 0 ? first + row_lane * group_rows : end;
    step = std::int64_t{grid.order.row_lanes} * group_rows;
  }

  /// Values of this thread's channels; `otherwise` where there are none.
  __device__ __forceinline__ Four of_channels(const float* values, float otherwise) const {
    Four result;
    for (int j = 0; j < vector; ++j)
      result.value[j] = values != nullptr && j < existing ? values[channel + j] : otherwise;
    return result;
  }
  __device__ __forceinline__ Four load(const float* tensor, std::int64_t r) const {
    const float* const from = tensor + r * channels + channel;
    Four result;
    if constexpr (vectorised) {
      const float4 v = *reinterpret_cast<const float4*>(from);
      result.value[0] = v.x, result.value[1] = v.y, result.value[2] = v.z, result.value[3] = v.w;
    } else {
      for (int j = 0; j < vector; ++j)
        if (j < existing) result.value[j] = from[j];
    }
    return result;
  }
  __device__ __forceinline__ void store(const Four& result, Rounded tensor, std::int64_t r) const {
    std::uint16_t* const to = tensor.values + r * channels + channel;
    if constexpr (vectorised) {
      *reinterpret_cast<uint2*>(to) = make_uint2(ptx::to_bf16x2(result.value[0], result.value[1]),
                                                 ptx::to_bf16x2(result.value[2], result.value[3]));
    } else {
      for (int j = 0; j < vector; ++j)
        if (j < existing) to[j] = static_cast<std::uint16_t>(ptx::to_bf16x2(result.value[j], 0.0f));
    }
  }
  __device__ __forceinline__ void store(const Four& result, Both tensors, std::int64_t r) const {
    store(result, tensors.values, r);
    store(result, tensors.rounded, r);
  }
  __device__ __forceinline__ void store(const Four& result, float* tensor, std::int64_t r) const {
    float* const to = tensor + r * channels + channel;
    if constexpr (vectorised) {
      *reinterpret_cast<float4*>(to) =
          make_float4(result.value[0], result.value[1], result.value[2], result.value[3]);
    } else {
      for (int j = 0; j < vector; ++j)
        if (j < existing) to[j] = result.value[j];
    }
  }
  template <class Sums>
  __device__ __forceinline__ void write_sums(const Sums& sums, float* workspace) const {
    if (row_lane != 0) return;
    float* const to = workspace + 2 * channels * (std::int64_t{blockIdx.y} + 1) + channel;
    for (int j = 0; j < vector; ++j) {
      if (j >= existing) break;
      to[j] = sums.first(j);
      to[channels + j] = sums.second(j);
    }
  }
};

/// What y depends on besides x.
struct BatchChannels {
  const float* mean;
  const float* invstd;
  const float* gamma;  // null: 1
  const float* beta;   // null: 0

  template <class Where>
  __device__ __forceinline__ void load(const Where& place, BatchNormChannel (&to)[vector]) const {
    const Four m = place.of_channels(mean, 0.0f), d = place.of_channels(invstd, 0.0f),
               g = place.of_channels(gamma, 1.0f), b = place.of_channels(beta, 0.0f);
    for (int j = 0; j < vector; ++j)
      to[j] = BatchNormChannel::of(m.value[j], d.value[j], g.value[j], b.value[j]);
  }
};

}  // namespace pixeldp::kernels::PIXELDP_DEVICE::batch_norm_rows
