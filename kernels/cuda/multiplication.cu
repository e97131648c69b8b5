/// y[n, p, c] = a[n, p, c] * b[n, c]
///
/// a factor for each channel of an image or, of one pixel, for each value.
///
/// Layouts: dense, of any alignment, a and b in single precision or bf16, y in single precision.
///
/// Work: a thread makes one value.
///
/// Bytes: a and y once each (4 or 2, and 4 per value); b comes from the caches. Operations: one per
/// value.
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/row_operations.hpp"
#include "kernels/cuda/value.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

template <class A, class B>
__global__ void __launch_bounds__(value_threads)
    multiplication_kernel(MultiplicationRow row, std::int64_t rows, const A* a, const B* b,
                          float* y) {
  const std::int64_t i = own_value(), size = row.pixels * row.channels;
  if (i >= rows * size) return;
  y[i] = __fmul_rn(load(a + i), load(b + i / size * row.channels + i % row.channels));
}

}  // namespace

template <class A, class B>
void multiply(void* stream, const MultiplicationRow& row, std::int64_t rows, const A* a, const B* b,
              float* y) {
  const unsigned blocks = row_blocks(rows * row.pixels * row.channels);
  if (blocks == 0) return;
  launch<multiplication_kernel<A, B>>(blocks, value_threads, 0, static_cast<cudaStream_t>(stream),
                                      row, rows, a, b, y);
}

using Bf16 = std::uint16_t;
template void multiply(void*, const MultiplicationRow&, std::int64_t, const float*, const float*,
                       float*);
template void multiply(void*, const MultiplicationRow&, std::int64_t, const float*, const Bf16*,
                       float*);
template void multiply(void*, const MultiplicationRow&, std::int64_t, const Bf16*, const float*,
                       float*);
template void multiply(void*, const MultiplicationRow&, std::int64_t, const Bf16*, const Bf16*,
                       float*);

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
