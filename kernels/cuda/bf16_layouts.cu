/// y[i] = bf16(x[i]) or y[i] = x[i], and for weights y[o, r, s, c] = bf16(x[o, c, r, s]) or the way
/// back.
///
/// Layouts: dense, of any alignment.
///
/// Work: a thread for each element of y, in y's order, so that writing is contiguous; reading is
/// too, but for weights, where a warp's reads lie kernel_h kernel_w elements (to OHWI), or in_c
/// elements (from it), apart: a weight is small, and what a sector brings beside serves other
/// threads from a cache.
///
/// Fused: rounding and change of layout. Bytes: 6 per element. No arithmetic but of indices.
///
/// Registers (nvcc --resource-usage): tests/kernel_budgets.txt; no shared memory.
#include "kernels/cuda/bf16_layouts.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx/convert.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

constexpr int block_threads = 256;  // as bf16_layout_blocks has it

__device__ __forceinline__ void convert(float x, std::uint16_t& y) {
  y = static_cast<std::uint16_t>(ptx::to_bf16x2(x, 0.0f));
}
__device__ __forceinline__ void convert(std::uint16_t x, float& y) {
  y = __uint_as_float(std::uint32_t{x} << 16);
}

template <class From, class To>
__global__ void __launch_bounds__(block_threads)
    convert_kernel(std::int64_t size, const From* __restrict__ x, To* __restrict__ y) {
  const std::int64_t i = std::int64_t{blockIdx.x} * block_threads + threadIdx.x;
  if (i < size) convert(x[i], y[i]);
}

/// y [outer, columns, rows] = x [outer, rows, columns]
template <class From, class To>
__global__ void __launch_bounds__(block_threads)
    transpose_kernel(std::int64_t size, std::int64_t rows, std::int64_t columns,
                     const From* __restrict__ x, To* __restrict__ y) {
  const std::int64_t i = std::int64_t{blockIdx.x} * block_threads + threadIdx.x;
  if (i >= size) return;
  const std::int64_t row = i % rows, rest = i / rows;
  const std::int64_t column = rest % columns, outer = rest / columns;
  convert(x[(outer * rows + row) * columns + column], y[i]);
}

template <class From, class To>
void start_convert(void* stream, std::int64_t size, const From* x, To* y) {
  if (const unsigned blocks = bf16_layout_blocks(size); blocks > 0)
    launch<convert_kernel<From, To>>(blocks, block_threads, 0, static_cast<cudaStream_t>(stream),
                                     size, x, y);
}

template <class From, class To>
void start_transpose(void* stream, std::int64_t size, std::int64_t rows, std::int64_t columns,
                     const From* x, To* y) {
  if (const unsigned blocks = bf16_layout_blocks(size); blocks > 0)
    launch<transpose_kernel<From, To>>(blocks, block_threads, 0, static_cast<cudaStream_t>(stream),
                                       size, rows, columns, x, y);
}

}  // namespace

void to_bf16(void* stream, std::int64_t size, const float* x, std::uint16_t* y) {
  start_convert(stream, size, x, y);
}

void from_bf16(void* stream, std::int64_t size, const std::uint16_t* x, float* y) {
  start_convert(stream, size, x, y);
}

void weight_to_bf16(void* stream, const Conv2dShape& shape, const float* x, std::uint16_t* y) {
  start_transpose(stream, shape.weight_size(), shape.in_c, shape.kernel_h * shape.kernel_w, x, y);
}

void weight_from_bf16(void* stream, const Conv2dShape& shape, const std::uint16_t* x, float* y) {
  start_transpose(stream, shape.weight_size(), shape.kernel_h * shape.kernel_w, shape.in_c, x, y);
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
