/// y[r, e] = activation(prefix[rows[r].source, e] + scale * z(seed, tag, image, draw, e))
///
/// z as defined in kernels/noise.hpp, by the formulas of kernels/formulas/noise.hpp, which the
/// processor's kernels share: the same bits.
///
/// Layouts: prefix [any, elements], y [row_count, elements], dense, of any alignment. Where rows
/// are multiples of 16 bytes and begin at such, accesses are 16 bytes wide.
///
/// Work: a thread makes one Philox block, four consecutive elements, at a time; a warp, 1024
/// elements of a row in eight turns, so that what depends on the row alone (half of the first two
/// rounds of Philox) is calculated once.
///
/// Fused: random words, transform, scale, addition, activation. Never written: words and noise.
///
/// Bytes: 4 written per element, and 4 read, which come from the L2 cache when rows share their
/// source. Instructions of PTX per element: 55, of which 26 integer ones (most of them Philox) and
/// 13 in floating point (counted; not timed on a GPU).
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/noise.cuh"
#include "kernels/cuda/noise.hpp"
#include "kernels/cuda/operations.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

template <class Transform, class Activate, bool vectorised>
__global__ void __launch_bounds__(NoiseGrid::block_threads)
    add_noise_kernel(NoiseParams params, const NoiseRow* __restrict__ rows, std::int64_t row_count,
                     std::int64_t elements, const float* __restrict__ prefix,
                     float* __restrict__ y) {
  const std::int64_t r = std::int64_t{blockIdx.x} * NoiseGrid::block_warps + threadIdx.y;
  if (r >= row_count) return;
  const float scale = params.factor != nullptr ? params.scale * *params.factor : params.scale;
  const NoisyRow<Transform, Activate> noise = {params.seed, params.tag, rows[r], scale,
                                               Activate(params.activation.slope)};
  const float* const in = prefix + noise.row.source * elements;
  float* const out = y + r * elements;
  for (std::int64_t first = blockIdx.y * NoiseGrid::segment_elements; first < elements;
       first += gridDim.y * NoiseGrid::segment_elements) {
    const std::int64_t last = first + NoiseGrid::segment_elements;
    const std::int64_t end = last < elements ? last : elements;
    // Unrolled, the turns of the kernel without noise spill registers.
#pragma unroll 1
    for (std::int64_t e = first + 4 * threadIdx.x; e < end; e += 4 * NoiseGrid::warp_threads) {
      float x[4] = {}, result[4];
      if constexpr (vectorised) {
        const float4 v = *reinterpret_cast<const float4*>(in + e);
        x[0] = v.x, x[1] = v.y, x[2] = v.z, x[3] = v.w;
      } else {
        for (int j = 0; j < 4; ++j)
          if (e + j < end) x[j] = in[e + j];
      }
      noise.apply(static_cast<std::uint32_t>(e / 4), x, result);
      if constexpr (vectorised) {
        // An assignment may be taken apart into four.
        __stwb(reinterpret_cast<float4*>(out + e),
               make_float4(result[0], result[1], result[2], result[3]));
      } else {
        for (int j = 0; j < 4; ++j)
          if (e + j < end) out[e + j] = result[j];
      }
    }
  }
}

}  // namespace

void add_noise(const Stream& stream, const NoiseParams& params, const NoiseRow* rows,
               std::int64_t row_count, std::int64_t elements, const float* prefix, float* y) {
  if (row_count == 0 || elements == 0) return;
  const NoiseGrid grid = NoiseGrid::plan(row_count, elements, prefix, y);
  with_noise(params, [&]<class Transform, class Activate>(std::type_identity<Transform>,
                                                          std::type_identity<Activate>) {
    const auto start = [&]<bool vectorised>(std::bool_constant<vectorised>) {
      launch<add_noise_kernel<Transform, Activate, vectorised>>(
          dim3(grid.row_blocks, grid.segment_blocks),
          dim3(NoiseGrid::warp_threads, NoiseGrid::block_warps), 0, native(stream), params, rows,
          row_count, elements, prefix, y);
    };
    grid.vectorised ? start(std::true_type()) : start(std::false_type());
  });
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
