/// real = activation(scale[c] * x + shift[c]), or activation(x + residual)
/// byte = round(clamp(real * inverse_scale, -127, 127))
///
/// and byte alone of y = activation(prefix + scale * z), the noise z of kernels/noise.hpp: values
/// of a plan in int8 that no product makes.
///
/// Layouts: x, residual and real [pixels, channels], in single precision, of any alignment; bytes
/// [pixels, filled], zeros beyond the channels, aligned to 4. Of noise, prefix [any, elements]
/// aligned to 16 bytes and bytes [rows, elements].
///
/// Work: a thread makes four channels of a pixel, 16 bytes of reals and 4 of bytes at a time where
/// channels and alignment allow. Of noise, a thread one Philox block at a time and a warp 1024
/// elements of a row in eight turns, as kernels/cuda/noise.cu.
///
/// Fused: scale, shift, sum, activation, rounding, filling up; random words, transform, addition,
/// activation, rounding. Never written: noise and noisy values in single precision.
///
/// Bytes: 4 read per value of x and residual each, 4 written of real and 1 of bytes; of noise 4
/// read, which come from the L2 cache when rows share their source, and 1 written. Operations: 7
/// per value besides those of the noise.
///
/// Registers (sm_80, sm_90; nvcc --resource-usage; none spilt): values 20, 22, Gaussian noise 39,
/// 43. No shared memory.
#include "kernels/cuda/int8_values.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/noise.cuh"
#include "kernels/cuda/noise.hpp"
#include "kernels/cuda/to_bytes.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

__global__ void __launch_bounds__(RoundingGrid::block_threads)
    round_values_kernel(ScalingParams params, bool vectorised, std::int64_t words,
                        std::int64_t pixel_words, const float* x, const float* residual,
                        Int8Target target) {
  const std::int64_t i = std::int64_t{blockIdx.x} * RoundingGrid::block_threads + threadIdx.x;
  if (i >= words) return;
  const std::int64_t pixel = i / pixel_words, c = (i - pixel * pixel_words) * 4;
  const std::int64_t left = params.channels - c, at = pixel * params.channels + c;
  const int count = left < 4 ? static_cast<int>(left) : 4;
  float v[4] = {};
  if (count > 0) {
    load_reals(x + at, count, vectorised, v);
    float added[4] = {};
    if (residual != nullptr) load_reals(residual + at, count, vectorised, added);
    for (int j = 0; j < 4; ++j) {
      if (j >= count) continue;
      Rounded value = v[j];
      if (residual != nullptr)
        value = value + added[j];
      else if (params.scale != nullptr)
        value = value * params.scale[c + j] + params.shift[c + j];
      v[j] = activated_lane(value, params.activation.slope);
    }
    if (target.real != nullptr) store_reals(target.real + at, count, vectorised, v);
  }
  store_word(target.bytes + i * 4, to_bytes(v, target.inverse_scale));
}

template <class Transform, class Activate>
__global__ void __launch_bounds__(NoiseGrid::block_threads)
    add_noise_bytes_kernel(NoiseParams params, const NoiseRow* rows, std::int64_t row_count,
                           std::int64_t elements, const float* prefix, Int8Target target) {
  const std::int64_t r = std::int64_t{blockIdx.x} * NoiseGrid::block_warps + threadIdx.y;
  if (r >= row_count) return;
  const NoisyRow<Transform, Activate> noise = {params.seed, params.tag, rows[r], params.scale,
                                               Activate(params.activation.slope)};
  const float* const in = prefix + noise.row.source * elements;
  std::int8_t* const out = target.bytes + r * elements;
  for (std::int64_t first = blockIdx.y * NoiseGrid::segment_elements; first < elements;
       first += gridDim.y * NoiseGrid::segment_elements) {
    const std::int64_t last = first + NoiseGrid::segment_elements;
    const std::int64_t end = last < elements ? last : elements;
#pragma unroll 1
    for (std::int64_t e = first + 4 * threadIdx.x; e < end; e += 4 * NoiseGrid::warp_threads) {
      float x[4], noisy[4];
      load_reals(in + e, 4, true, x);
      noise.apply(static_cast<std::uint32_t>(e / 4), x, noisy);
      store_word(out + e, to_bytes(noisy, target.inverse_scale));
    }
  }
}

}  // namespace

void round_values(void* stream, const ScalingParams& params, std::int64_t filled, const float* x,
                  const float* residual, const Int8Target& target) {
  const RoundingGrid grid = RoundingGrid::plan(params, filled, x, residual, target);
  if (grid.blocks == 0) return;
  const std::int64_t pixel_words = filled / 4;
  launch<round_values_kernel>(grid.blocks, RoundingGrid::block_threads, 0,
                              static_cast<cudaStream_t>(stream), params, grid.vectorised,
                              params.pixels * pixel_words, pixel_words, x, residual, target);
}

void add_noise_bytes(void* stream, const NoiseParams& params, const NoiseRow* rows,
                     std::int64_t row_count, std::int64_t elements, const float* prefix,
                     const Int8Target& target) {
  if (row_count == 0 || elements == 0) return;
  check_noise_bytes(elements, prefix, target);
  const NoiseGrid grid = NoiseGrid::plan(row_count, elements, prefix, nullptr);
  with_noise(params, [&]<class Transform, class Activate>(std::type_identity<Transform>,
                                                          std::type_identity<Activate>) {
    launch<add_noise_bytes_kernel<Transform, Activate>>(
        dim3(grid.row_blocks, grid.segment_blocks),
        dim3(NoiseGrid::warp_threads, NoiseGrid::block_warps), 0, static_cast<cudaStream_t>(stream),
        params, rows, row_count, elements, prefix, target);
  });
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
