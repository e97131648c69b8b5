/// loss = 1/rows sum over r of -log p[r, label[r]],  p = softmax(logits)
/// dlogits[r, c] = (p[r, c] - [c = label[r]]) / rows
///
/// as defined in kernels/loss.hpp.
///
/// Layouts: logits, dlogits [rows, classes], labels [rows], dense, of any alignment.
///
/// Work: a warp has a row. Its lanes take the classes in turn, so that accesses are whole lines,
/// and look for the largest logit, then add up the exponentials, then make them once more for the
/// gradient: the logits come from the L1 cache the second and the third time. Then one warp adds up
/// the rows' losses, lane l the rows l, l + 32, ... All sums are in double precision and go through
/// the tree of warp_sum at the end.
///
/// Never written to global memory: exponentials and scores. Scratch: 16 bytes per row.
///
/// Bytes: 8 * rows * classes, and 36 per row. Operations, in double precision: two exponentials, an
/// addition and a division per logit and a logarithm per row.
///
/// 48 registers on sm_80 and 58 on sm_90 (32 and 31 for the sum over the rows); no shared memory.
#include <cmath>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/loss.hpp"
#include "kernels/cuda/operations.hpp"
#include "kernels/cuda/stream_scratch.cuh"
#include "kernels/cuda/warp_sum.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

constexpr int warp_threads = 32;

/// The largest logit and its lowest index. Arbitrary where a logit is not a number or all are
/// -infinity: then the loss is not a number either.
struct Top {
  float logit = -__builtin_inff();
  std::int64_t label = 0;

  __device__ __forceinline__ void meet(float other, std::int64_t other_label) {
    if (other > logit || (other == logit && other_label < label))
      logit = other, label = other_label;
  }
};

__device__ __forceinline__ Top top_of_warp(Top top) {
  for (int bits = 16; bits > 0; bits /= 2) {
    const float logit = __shfl_xor_sync(0xffffffffu, top.logit, bits);
    const std::int64_t label = __shfl_xor_sync(0xffffffffu, top.label, bits);
    top.meet(logit, label);
  }
  return top;
}

// dlogits may be the logits: a lane writes only what it alone reads.
__global__ void __launch_bounds__(warp_threads* LossGrid::block_warps)
    row_loss_kernel(std::int64_t rows, std::int64_t classes, const float* logits,
                    const std::int32_t* __restrict__ labels, float* dlogits,
                    LossResult* __restrict__ row_results) {
  const std::int64_t row = std::int64_t{blockIdx.x} * LossGrid::block_warps + threadIdx.y;
  if (row >= rows) return;
  const int lane = threadIdx.x;
  const float* const z = logits + row * classes;
  float* const dz = dlogits + row * classes;
  const std::int64_t label = labels[row];
  if (label < 0 || label >= classes) {
    for (std::int64_t c = lane; c < classes; c += warp_threads) dz[c] = 0.0f;
    if (lane == 0) row_results[row] = {__builtin_nan(""), 0};
    return;
  }

  Top top;
  float label_logit = 0.0f;  // in the lane that owns it
  for (std::int64_t c = lane; c < classes; c += warp_threads) {
    const float logit = z[c];
    if (c == label) label_logit = logit;
    top.meet(logit, c);
  }
  top = top_of_warp(top);
  label_logit = __shfl_sync(0xffffffffu, label_logit, static_cast<int>(label % warp_threads));

  const double highest = static_cast<double>(top.logit);
  double sum = 0.0;
  for (std::int64_t c = lane; c < classes; c += warp_threads)
    sum += std::exp(static_cast<double>(z[c]) - highest);
  sum = warp_sum(sum);
  for (std::int64_t c = lane; c < classes; c += warp_threads) {
    const double score = std::exp(static_cast<double>(z[c]) - highest) / sum;
    dz[c] = static_cast<float>((score - (c == label ? 1.0 : 0.0)) / static_cast<double>(rows));
  }
  if (lane == 0) {
    const double loss = std::log(sum) + highest - static_cast<double>(label_logit);
    row_results[row] = {loss, top.label == label && loss == loss};
  }
}

__global__ void __launch_bounds__(warp_threads)
    mean_loss_kernel(std::int64_t rows, const LossResult* __restrict__ row_results,
                     LossResult* __restrict__ result) {
  double loss = 0.0;
  std::int64_t correct = 0;
#pragma unroll 4  // so that four rows are on their way at once
  for (std::int64_t r = threadIdx.x; r < rows; r += warp_threads) {
    loss += row_results[r].loss;
    correct += row_results[r].correct;
  }
  loss = warp_sum(loss);
  correct = warp_sum(correct);
  if (threadIdx.x == 0) *result = {loss / static_cast<double>(rows), correct};
}

}  // namespace

void softmax_cross_entropy(const Stream& stream, std::int64_t rows, std::int64_t classes,
                           const float* logits, const std::int32_t* labels, float* dlogits,
                           LossResult* result) {
  const LossGrid grid = LossGrid::plan(rows);
  const auto cuda_stream = native(stream);
  const StreamScratch<LossResult> row_results(cuda_stream, rows);
  if (rows > 0) {
    launch<row_loss_kernel>(grid.blocks, dim3(warp_threads, LossGrid::block_warps), 0, cuda_stream,
                            rows, classes, logits, labels, dlogits, row_results.data());
  }
  launch<mean_loss_kernel>(1, warp_threads, 0, cuda_stream, rows, row_results.data(), result);
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
