/// Training:   y = activation(gamma * invstd * (x - mean) + beta), mean and invstd of the batch
/// Inference:  y = activation(scale * x + shift)
/// Backward:   dx = gamma * invstd * (g - sum g / rows - xhat * sum(g xhat) / rows)
///
/// as defined in kernels/batch_norm.hpp, by the formulas and in the order of
/// kernels/formulas/batch_norm.hpp, which the processor shares: the same bits.
///
/// Layouts: tensors [rows, channels], dense, of any alignment; where channels are a multiple of 4
/// and tensors are aligned to 16 bytes, accesses are 16 bytes wide. Sums of splits
/// [splits + 1, 2, channels], of which the first pair holds those of all splits.
///
/// Work: a thread has 4 channels of one row lane, 8 consecutive rows at a time. channel_lanes
/// threads side by side read consecutive channels, at least 128 bytes where there are as many.
///   1. sums: a group of 8 rows is held in registers, so that the two passes of its moments read it
///      once; a block merges its row lanes in shared memory and writes the sums of its split.
///   2. merge: 8 lanes of splits to each channel, and all that follows from the totals: mean,
///      invstd and running statistics; dgamma, dbeta and what they take from every dx.
///   3. apply: the same threads on the same rows as 1.
/// No atomics: every sum has one order.
///
/// Fused: activation and its gradient, whose mask is recomputed from x; rounding to bf16 for the
/// product that reads y or dx. Never written: xhat, masks, gradients before the normalisation.
///
/// Bytes per element: forward 8 read (4 for the statistics, 4 to apply them) and 4 written,
/// backward 16 read (x and dy twice) and 4 written, inference 4 and 4; rounded alone, 2 written
/// instead of 4. That is the least for a batch that fits no cache, unless the neighbouring
/// convolutions take over a pass; for one that does, the second reading comes from the L2 cache.
/// Besides, 16 per channel and split (at least 64 rows, at most 512 splits) for its sums.
///
/// Operations per element: moments 6, normalisation 4; backward 8 and 9; inference 3.
///
///   kernel           registers sm_80, sm_90   shared memory   (nvcc --resource-usage; none spilt)
///   moments          93, 93                   10240
///   gradient sums    74, 74                   8192
///   merges           40, 40                   4096, 2048
///   normalise        63, 68
///   input gradient   76, 80
///   scale and shift  48, 48
///   fold             16, 19
#include "kernels/cuda/batch_norm.hpp"
#include "kernels/cuda/batch_norm_rows.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/operations.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

using namespace batch_norm_rows;

// ---- 1. Sums of splits

template <bool vectorised>
__global__ void __launch_bounds__(block_threads)
    moments_kernel(BatchNormGrid grid, const float* x, float* workspace) {
  const Place<vectorised> place(grid);
  const Four shift = place.of_channels(x, 0.0f);
  MomentSums<vector> own;
  for (std::int64_t first = place.row; first < place.end; first += place.step) {
    const std::int64_t left = place.end - first;
    const int rows = left < group_rows ? static_cast<int>(left) : group_rows;
    Four x_less_shift[group_rows];
    for (int i = 0; i < group_rows; ++i) {
      if (i < rows) x_less_shift[i] = place.load(x, first + i);
    }
    MomentSums<vector> group;
    group.rows = rows;
    for (int j = 0; j < vector; ++j) {
      float sum = 0.0f, squares = 0.0f;
      for (int i = 0; i < group_rows; ++i) {
        x_less_shift[i].value[j] -= shift.value[j];
        if (i < rows) sum += x_less_shift[i].value[j];
      }
      const float mean = sum / static_cast<float>(rows);
      for (int i = 0; i < group_rows; ++i) {
        const float distance = x_less_shift[i].value[j] - mean;
        if (i < rows) squares += distance * distance;
      }
      group.mean[j] = mean, group.squares[j] = squares;
    }
    own.merge_with(group);
  }
  merge_lanes(own, grid.order.row_lanes, grid.order.channel_lanes);
  place.write_sums(own, workspace);
}

template <bool vectorised>
__global__ void __launch_bounds__(block_threads)
    gradient_sums_kernel(BatchNormGrid grid, BatchChannels batch, float slope, const float* x,
                         const float* dy, float* workspace) {
  const Place<vectorised> place(grid);
  BatchNormChannel channel[vector];
  batch.load(place, channel);
  GradientSums<vector> own;
  for (std::int64_t first = place.row; first < place.end; first += place.step) {
    const std::int64_t last = first + group_rows < place.end ? first + group_rows : place.end;
#pragma unroll 4
    for (std::int64_t r = first; r < last; ++r) {
      const Four input = place.load(x, r), gradient = place.load(dy, r);
      for (int j = 0; j < vector; ++j) {
        const float g = masked_gradient(channel[j], input.value[j], gradient.value[j], slope);
        own.gradient[j] += g;
        own.product[j] += g * ((input.value[j] - channel[j].mean) * channel[j].invstd);
      }
    }
  }
  merge_lanes(own, grid.order.row_lanes, grid.order.channel_lanes);
  place.write_sums(own, workspace);
}

// ---- 2. Sums of all splits

/// The sums of all splits of this thread's channel; true for the one thread that has them.
template <template <int> class Sums>
__device__ __forceinline__ bool merge_splits(const BatchNormGrid& grid, const float* workspace,
                                             std::int64_t channel, Sums<1>& own) {
  const int lane = static_cast<int>(threadIdx.x) / BatchNormGrid::merge_channels;
  if (channel < grid.channels) {
#pragma unroll 4
    for (int split = lane; split < grid.order.splits; split += Order::merge_lanes) {
      const float* const from = workspace + 2 * grid.channels * (split + 1) + channel;
      const std::int64_t left = grid.rows - split * grid.order.split_rows;
      own.merge_with(Sums<1>::of(left < grid.order.split_rows ? left : grid.order.split_rows,
                                 from[0], from[grid.channels]));
    }
  }
  merge_lanes(own, Order::merge_lanes, BatchNormGrid::merge_channels);
  return lane == 0 && channel < grid.channels;
}

__device__ __forceinline__ std::int64_t channel_to_merge() {
  return std::int64_t{blockIdx.x} * BatchNormGrid::merge_channels +
         threadIdx.x % BatchNormGrid::merge_channels;
}

struct Statistics {
  float* running_mean;
  float* running_variance;
  float* mean;
  float* invstd;
};

__global__ void __launch_bounds__(block_threads)
    merge_moments_kernel(BatchNormGrid grid, float epsilon, float momentum, const float* x,
                         const float* workspace, Statistics to) {
  const std::int64_t c = channel_to_merge();
  MomentSums<1> sums;
  if (!merge_splits(grid, workspace, c, sums)) return;
  const float mean = x[c] + sums.mean[0];
  const float variance = sums.squares[0] / static_cast<float>(grid.rows);
  to.mean[c] = mean;
  to.invstd[c] = inverse_deviation(variance, epsilon);
  if (to.running_mean != nullptr)
    to.running_mean[c] = update_running(momentum, to.running_mean[c], mean);
  if (to.running_variance != nullptr)
    to.running_variance[c] = update_running(momentum, to.running_variance[c], variance);
}

__global__ void __launch_bounds__(block_threads)
    merge_gradients_kernel(BatchNormGrid grid, float* workspace, float* dgamma, float* dbeta) {
  const std::int64_t c = channel_to_merge();
  GradientSums<1> sums;
  if (!merge_splits(grid, workspace, c, sums)) return;
  if (dbeta != nullptr) dbeta[c] = sums.gradient[0];
  if (dgamma != nullptr) dgamma[c] = sums.product[0];
  const float rows = static_cast<float>(grid.rows);
  workspace[c] = sums.gradient[0] / rows;
  workspace[grid.channels + c] = sums.product[0] / rows;
}

// ---- 3. Over all elements

/// to = function(j, values of all of `from`) for the thread's elements, j being the channel of its
/// four. Rows are read a few ahead of writing, for which the compiler would have to know that
/// tensors do not overlap; they may be the same.
template <bool vectorised, int tensors, class To, class Function>
__device__ __forceinline__ void transform(const Place<vectorised>& place,
                                          const float* const (&from)[tensors], const To& to,
                                          Function function) {
  constexpr int rows_ahead = 4;
  static_assert(group_rows % rows_ahead == 0);
  for (std::int64_t first = place.row; first < place.end; first += place.step) {
#pragma unroll 1
    for (int i = 0; i < group_rows; i += rows_ahead) {
      Four in[rows_ahead][tensors];
      for (int k = 0; k < rows_ahead; ++k) {
        if (first + i + k >= place.end) break;
        for (int t = 0; t < tensors; ++t) in[k][t] = place.load(from[t], first + i + k);
      }
      for (int k = 0; k < rows_ahead; ++k) {
        if (first + i + k >= place.end) break;
        Four out;
        for (int j = 0; j < vector; ++j) {
          float values[tensors];
          for (int t = 0; t < tensors; ++t) values[t] = in[k][t].value[j];
          out.value[j] = function(j, values);
        }
        place.store(out, to, first + i + k);
      }
    }
  }
}

template <bool vectorised, class To>
__global__ void __launch_bounds__(block_threads)
    normalise_kernel(BatchNormGrid grid, BatchChannels batch, float slope, const float* x, To y) {
  const Place<vectorised> place(grid);
  BatchNormChannel channel[vector];
  batch.load(place, channel);
  transform(place, {x}, y,
            [&](int j, const float(&in)[1]) { return normalised(channel[j], in[0], slope); });
}

// Three blocks have room for their registers in a multiprocessor.
template <bool vectorised, class To>
__global__ void __launch_bounds__(block_threads, 3)
    input_gradient_kernel(BatchNormGrid grid, BatchChannels batch, float slope,
                          const float* workspace, const float* x, const float* dy, To dx) {
  const Place<vectorised> place(grid);
  BatchNormChannel channel[vector];
  batch.load(place, channel);
  const Four gradient = place.of_channels(workspace, 0.0f),
             product = place.of_channels(workspace + grid.channels, 0.0f);
  transform(place, {x, dy}, dx, [&](int j, const float(&in)[2]) {
    return input_gradient(channel[j], gradient.value[j], product.value[j], in[0], in[1], slope);
  });
}

template <bool vectorised>
__global__ void __launch_bounds__(block_threads)
    scale_shift_kernel(BatchNormGrid grid, float slope, const float* x, const float* scale,
                       const float* shift, float* y) {
  const Place<vectorised> place(grid);
  const Four a = place.of_channels(scale, 0.0f), b = place.of_channels(shift, 0.0f);
  transform(place, {x}, y, [&](int j, const float(&in)[1]) {
    return normalised(ScaleShift{a.value[j], b.value[j]}, in[0], slope);
  });
}

__global__ void __launch_bounds__(block_threads)
    fold_kernel(std::int64_t channels, float epsilon, BatchChannels running, float* scale,
                float* shift) {
  const std::int64_t c = std::int64_t{blockIdx.x} * block_threads + threadIdx.x;
  if (c >= channels) return;
  const ScaleShift folded = ScaleShift::of(running.gamma != nullptr ? running.gamma[c] : 1.0f,
                                           running.beta != nullptr ? running.beta[c] : 0.0f,
                                           running.mean[c], running.invstd[c], epsilon);
  scale[c] = folded.scale, shift[c] = folded.shift;
}

/// Calls pass.operator()<vectorised>().
template <class Pass>
void choose(bool vectorised, Pass pass) {
  vectorised ? pass.template operator()<true>() : pass.template operator()<false>();
}

template <class Sums>
constexpr std::size_t shared_bytes = sizeof(SharedStorage<Sums>);

}  // namespace

void batch_norm_statistics(const Stream& stream, const BatchNormParams& params, const float* x,
                           float* running_mean, float* running_variance, float* mean, float* invstd,
                           float* workspace) {
  const BatchNormGrid grid = BatchNormGrid::plan(params, {x});
  const auto s = native(stream);
  choose(grid.vectorised, [&]<bool vectorised>() {
    launch<moments_kernel<vectorised>>(dim3(grid.tiles, grid.splits), block_threads,
                                       shared_bytes<MomentSums<vector>>, s, grid, x, workspace);
  });
  launch<merge_moments_kernel>(grid.merge_blocks, block_threads, shared_bytes<MomentSums<1>>, s,
                               grid, params.epsilon, params.momentum, x, workspace,
                               Statistics{running_mean, running_variance, mean, invstd});
}

void batch_norm_normalise(const Stream& stream, const BatchNormParams& params, const float* x,
                          const float* mean, const float* invstd, const float* gamma,
                          const float* beta, float* y, std::uint16_t* rounded) {
  const BatchNormGrid grid = BatchNormGrid::plan(params, {x, y, rounded});
  const auto run = [&]<class To>(To to) {
    choose(grid.vectorised, [&]<bool vectorised>() {
      launch<normalise_kernel<vectorised, To>>(
          dim3(grid.tiles, grid.splits), block_threads, 0, native(stream), grid,
          BatchChannels{mean, invstd, gamma, beta}, params.activation.slope, x, to);
    });
  };
  if (rounded == nullptr) return run(y);
  if (y == nullptr) return run(Rounded{rounded});
  run(Both{y, {rounded}});
}

void batch_norm_gradient_sums(const Stream& stream, const BatchNormParams& params, const float* x,
                              const float* mean, const float* invstd, const float* gamma,
                              const float* beta, const float* dy, float* dgamma, float* dbeta,
                              float* workspace) {
  const BatchNormGrid grid = BatchNormGrid::plan(params, {x, dy});
  const auto s = native(stream);
  choose(grid.vectorised, [&]<bool vectorised>() {
    launch<gradient_sums_kernel<vectorised>>(
        dim3(grid.tiles, grid.splits), block_threads, shared_bytes<GradientSums<vector>>, s, grid,
        BatchChannels{mean, invstd, gamma, beta}, params.activation.slope, x, dy, workspace);
  });
  launch<merge_gradients_kernel>(grid.merge_blocks, block_threads, shared_bytes<GradientSums<1>>, s,
                                 grid, workspace, dgamma, dbeta);
}

void batch_norm_input_gradient(const Stream& stream, const BatchNormParams& params, const float* x,
                               const float* mean, const float* invstd, const float* gamma,
                               const float* beta, const float* workspace, const float* dy,
                               float* dx, std::uint16_t* rounded) {
  const BatchNormGrid grid = BatchNormGrid::plan(params, {x, dy, dx, rounded});
  const auto run = [&]<class To>(To to) {
    choose(grid.vectorised, [&]<bool vectorised>() {
      launch<input_gradient_kernel<vectorised, To>>(
          dim3(grid.tiles, grid.splits), block_threads, 0, native(stream), grid,
          BatchChannels{mean, invstd, gamma, beta}, params.activation.slope, workspace, x, dy, to);
    });
  };
  rounded == nullptr ? run(dx) : run(Rounded{rounded});
}

void fold_batch_norm(const Stream& stream, const BatchNormParams& params, const float* gamma,
                     const float* beta, const float* running_mean, const float* running_variance,
                     float* scale, float* shift) {
  const BatchNormGrid grid = BatchNormGrid::plan(params, {});
  launch<fold_kernel>((grid.channels + block_threads - 1) / block_threads, block_threads, 0,
                      native(stream), grid.channels, params.epsilon,
                      BatchChannels{running_mean, running_variance, gamma, beta}, scale, shift);
}

void batch_norm_inference(const Stream& stream, const BatchNormParams& params, const float* x,
                          const float* scale, const float* shift, float* y) {
  const BatchNormGrid grid = BatchNormGrid::plan(params, {x, y});
  if (grid.splits == 0) return;
  choose(grid.vectorised, [&]<bool vectorised>() {
    launch<scale_shift_kernel<vectorised>>(dim3(grid.tiles, grid.splits), block_threads, 0,
                                           native(stream), grid, params.activation.slope, x, scale,
                                           shift, y);
  });
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
