/// y = (x - mean) / deviation,   mean = sum x / n,
///                               deviation = max(sqrt(sum (x - mean)^2 / n), 1 / sqrt(n))
/// dx = (dy - mean(dy) - y mean(dy y)) / deviation, the last term where the deviation is not the
///      least
///
/// as defined in kernels/standardise.hpp, with the processor's order of every sum: the same bits.
///
/// Layouts: x, y, dy, dx [images, n], dense, of any alignment.
///
/// Work: a warp has an image. Its lanes take the values in turn, so that accesses are whole lines:
/// once for the mean, once for the deviation, once for the result (the gradient once more, for two
/// means of its own), all but the first time from the caches. All in double precision, through the
/// tree of warp_sum: it is done once per image, not per draw, and stands before the noise.
///
/// Never written: mean and deviation, and for the gradient y.
///
/// Bytes: 8 per value, the gradient 12. Operations, in double precision: 3 additions, a
/// multiplication and a division per value; the gradient 6, 3 and 3.
///
/// Registers: 40 on sm_80 and 39 on sm_90, the gradient 48 and 50; none spilt, no shared memory.
#include <cmath>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/operations.hpp"
#include "kernels/cuda/standardise.hpp"
#include "kernels/cuda/warp_sum.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

constexpr int warp_threads = 32;

/// The sum of f(i) for i below `values`, in every lane.
template <class F>
__device__ __forceinline__ double lane_sum(std::int64_t values, F f) {
  double sum = 0.0;
  for (std::int64_t i = threadIdx.x; i < values; i += warp_threads) sum += f(i);
  return warp_sum(sum);
}

struct Moments {
  double mean, deviation;
  bool constant;  ///< the deviation is the least

  __device__ __forceinline__ Moments(std::int64_t values, const float* x) {
    const auto n = static_cast<double>(values);
    mean = lane_sum(values, [x](std::int64_t i) { return static_cast<double>(x[i]); }) / n;
    const double squares = lane_sum(values, [x, m = mean](std::int64_t i) {
      const double difference = static_cast<double>(x[i]) - m;
      return difference * difference;
    });
    deviation = std::sqrt(squares / n);
    const double least = 1.0 / std::sqrt(n);
    constant = deviation <= least;
    if (constant) deviation = least;
  }
  __device__ __forceinline__ double standardised(float x) const {
    return (static_cast<double>(x) - mean) / deviation;
  }
};

__device__ __forceinline__ std::int64_t image_of_warp() {
  return std::int64_t{blockIdx.x} * StandardiseGrid::block_warps + threadIdx.y;
}

__global__ void __launch_bounds__(warp_threads* StandardiseGrid::block_warps)
    standardise_kernel(std::int64_t images, std::int64_t values, const float* __restrict__ x,
                       float* __restrict__ y) {
  const std::int64_t image = image_of_warp();
  if (image >= images) return;
  const float* const from = x + image * values;
  float* const to = y + image * values;
  const Moments moments(values, from);
  for (std::int64_t i = threadIdx.x; i < values; i += warp_threads)
    to[i] = static_cast<float>(moments.standardised(from[i]));
}

__global__ void __launch_bounds__(warp_threads* StandardiseGrid::block_warps)
    standardise_gradient_kernel(std::int64_t images, std::int64_t values,
                                const float* __restrict__ x, const float* __restrict__ dy,
                                float* __restrict__ dx) {
  const std::int64_t image = image_of_warp();
  if (image >= images) return;
  const float *const from = x + image * values, *const above = dy + image * values;
  float* const to = dx + image * values;
  const Moments moments(values, from);
  const auto n = static_cast<double>(values);
  const double mean =
      lane_sum(values, [=](std::int64_t i) { return static_cast<double>(above[i]); }) / n;
  const double along =
      lane_sum(values,
               [=](std::int64_t i) {
                 return static_cast<double>(above[i]) * moments.standardised(from[i]);
               }) /
      n;
  for (std::int64_t i = threadIdx.x; i < values; i += warp_threads) {
    double gradient = static_cast<double>(above[i]) - mean;
    if (!moments.constant) gradient -= moments.standardised(from[i]) * along;
    to[i] = static_cast<float>(gradient / moments.deviation);
  }
}

}  // namespace

void standardise(const Stream& stream, std::int64_t images, std::int64_t values, const float* x,
                 float* y) {
  const StandardiseGrid grid = StandardiseGrid::plan(images);
  if (grid.blocks == 0) return;
  launch<standardise_kernel>(grid.blocks, dim3(warp_threads, StandardiseGrid::block_warps), 0,
                             native(stream), images, values, x, y);
}

void standardise_backward(const Stream& stream, std::int64_t images, std::int64_t values,
                          const float* x, const float* dy, float* dx) {
  const StandardiseGrid grid = StandardiseGrid::plan(images);
  if (grid.blocks == 0) return;
  launch<standardise_gradient_kernel>(grid.blocks, dim3(warp_threads, StandardiseGrid::block_warps),
                                      0, native(stream), images, values, x, dy, dx);
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
