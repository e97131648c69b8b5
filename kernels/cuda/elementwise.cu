/// activate:             y[i] = y[i] > 0 ? y[i] : slope * y[i]
/// activation_backward:  gradient[i] = y[i] > 0 ? gradient[i] : slope * gradient[i]
/// repeat_row:           y[r, j] = x[j]
/// average_rows:         y[j] = (x[0, j] + x[1, j] + ... ) / rows, summed in this order
///
/// Layouts: dense arrays, of any alignment. Where all (and all rows that are summed) begin at
/// multiples of 16 bytes, accesses are 16 bytes wide.
///
/// Work: a thread does four consecutive elements at a time, then the four a whole grid further.
///
/// Bytes per element: 4 read and 4 written by activate; 8 read and 4 written by
/// activation_backward, 4 written by repeat_row; 4 read per element and 4 written per column by
/// average_rows. Operations: a multiplication and a comparison; an addition and, per column, a
/// division.
///
/// No shared memory.
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/elementwise.hpp"
#include "kernels/cuda/four.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/operations.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

/// Calls visit(i) for the first of each four elements that are this thread's.
template <class Visit>
__device__ __forceinline__ void for_each_four(std::int64_t size, const Visit& visit) {
  const std::int64_t stride = std::int64_t{gridDim.x} * ElementwiseGrid::block_elements;
  for (std::int64_t i = (std::int64_t{blockIdx.x} * ElementwiseGrid::block_threads + threadIdx.x) *
                        ElementwiseGrid::thread_elements;
       i < size; i += stride)
    visit(i);
}

__global__ void __launch_bounds__(ElementwiseGrid::block_threads)
    activate_kernel(float slope, std::int64_t size, bool aligned, float* y) {
  for_each_four(size, [&](std::int64_t i) {
    float values[4];
    load_four(y + i, size - i, aligned, values);
    for (float& value : values) value = value > 0.0f ? value : slope * value;
    store_four(y + i, size - i, aligned, values);
  });
}

__global__ void __launch_bounds__(ElementwiseGrid::block_threads)
    activation_backward_kernel(float slope, std::int64_t size, bool aligned, const float* y,
                               float* gradient) {
  for_each_four(size, [&](std::int64_t i) {
    float signs[4], values[4];
    load_four(y + i, size - i, aligned, signs);
    load_four(gradient + i, size - i, aligned, values);
    for (int j = 0; j < 4; ++j) values[j] = signs[j] > 0.0f ? values[j] : slope * values[j];
    store_four(gradient + i, size - i, aligned, values);
  });
}

__global__ void __launch_bounds__(ElementwiseGrid::block_threads)
    repeat_row_kernel(std::int64_t size, std::int64_t columns, bool aligned, const float* x,
                      float* y) {
  for_each_four(size, [&](std::int64_t i) {
    float values[4];
    for (int j = 0; j < 4; ++j) values[j] = i + j < size ? x[(i + j) % columns] : 0.0f;
    store_four(y + i, size - i, aligned, values);
  });
}

__global__ void __launch_bounds__(ElementwiseGrid::block_threads)
    average_rows_kernel(std::int64_t rows, std::int64_t columns, bool aligned, const float* x,
                        float* y) {
  const auto count = static_cast<float>(rows);
  for_each_four(columns, [&](std::int64_t i) {
    float sums[4], more[4];
    load_four(x + i, columns - i, aligned, sums);
    for (std::int64_t r = 1; r < rows; ++r) {
      load_four(x + r * columns + i, columns - i, aligned, more);
      for (int j = 0; j < 4; ++j) sums[j] += more[j];
    }
    for (float& sum : sums) sum /= count;
    store_four(y + i, columns - i, aligned, sums);
  });
}

}  // namespace

void activate(const Stream& stream, Activation activation, std::int64_t size, float* y) {
  const ElementwiseGrid grid = ElementwiseGrid::plan(size, {y});
  if (size == 0 || activation.is_identity()) return;
  launch<activate_kernel>(grid.blocks, ElementwiseGrid::block_threads, 0, native(stream),
                          activation.slope, size, grid.aligned, y);
}

void activation_backward(const Stream& stream, Activation activation, std::int64_t size,
                         const float* y, float* gradient) {
  const ElementwiseGrid grid = ElementwiseGrid::plan(size, {y, gradient});
  if (size == 0 || activation.is_identity()) return;
  launch<activation_backward_kernel>(grid.blocks, ElementwiseGrid::block_threads, 0, native(stream),
                                     activation.slope, size, grid.aligned, y, gradient);
}

void average_rows(const Stream& stream, std::int64_t rows, std::int64_t columns, const float* x,
                  float* y) {
  const ElementwiseGrid grid = ElementwiseGrid::plan(columns, {x, y});
  if (columns == 0) return;
  const bool aligned =
      grid.aligned && (rows == 1 || columns % ElementwiseGrid::thread_elements == 0);
  launch<average_rows_kernel>(grid.blocks, ElementwiseGrid::block_threads, 0, native(stream), rows,
                              columns, aligned, x, y);
}

void repeat_row(void* stream, std::int64_t rows, std::int64_t columns, const float* x, float* y) {
  const std::int64_t size = rows * columns;
  const ElementwiseGrid grid = ElementwiseGrid::plan(size, {y});
  if (size == 0) return;
  launch<repeat_row_kernel>(grid.blocks, ElementwiseGrid::block_threads, 0,
                            static_cast<cudaStream_t>(stream), size, columns, grid.aligned, x, y);
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
