/// y = activation(scale[c] * x + shift[c]), or activation(x + residual)
///
/// for what no convolution's epilogue does: a batch norm right behind noise that has no kernel with
/// it, a sum of values of which none comes from a convolution.
///
/// Layouts: [pixels, channels], dense, of any alignment, in single precision or bf16.
///
/// Work: a thread does four values, a block's width apart, so that a warp's accesses lie side by
/// side.
///
/// Bytes: x, the residual and y once each (4 or 2 per value); scale and shift come from the caches.
/// Operations: two per value.
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx/convert.cuh"
#include "kernels/cuda/scaling.hpp"
#include "kernels/cuda/value.cuh"
#include "kernels/formulas/batch_norm.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

constexpr int threads = 256, thread_values = 4;

__device__ __forceinline__ void store(float* y, float value) { *y = value; }
__device__ __forceinline__ void store(std::uint16_t* y, float value) {
  *y = static_cast<std::uint16_t>(ptx::to_bf16x2(value, 0.0f));
}

template <class In, class Residual, class Output>
__global__ void __launch_bounds__(threads)
    scaling_kernel(ScalingParams params, const In* x, const Residual* residual, Output* y) {
  const std::int64_t size = params.pixels * params.channels;
  std::int64_t i = std::int64_t{blockIdx.x} * (threads * thread_values) + threadIdx.x;
  for (int k = 0; k < thread_values && i < size; ++k, i += threads) {
    float value = load(x + i);
    if (residual != nullptr) {
      value = activated(value + load(residual + i), params.activation.slope);
    } else {
      const std::int64_t c = i % params.channels;
      const ScaleShift channel = {params.scale != nullptr ? params.scale[c] : 1.0f,
                                  params.shift != nullptr ? params.shift[c] : 0.0f};
      value = normalised(channel, value, params.activation.slope);
    }
    store(y + i, value);
  }
}

}  // namespace

template <class In, class Residual, class Output>
void scale_values(void* stream, const ScalingParams& params, const In* x, const Residual* residual,
                  Output* y) {
  const unsigned blocks = scaling_blocks(params);
  if (blocks == 0) return;
  launch<scaling_kernel<In, Residual, Output>>(
      blocks, threads, 0, static_cast<cudaStream_t>(stream), params, x, residual, y);
}

using Bf16 = std::uint16_t;
template void scale_values(void*, const ScalingParams&, const float*, const float*, float*);
template void scale_values(void*, const ScalingParams&, const float*, const float*, Bf16*);
template void scale_values(void*, const ScalingParams&, const Bf16*, const Bf16*, Bf16*);
template void scale_values(void*, const ScalingParams&, const Bf16*, const Bf16*, float*);

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
