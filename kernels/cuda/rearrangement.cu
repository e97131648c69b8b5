/// Selection:      y[n, p, c] = x[n, places[p], places[pixels + c]], or fill where one of both is
///                 negative
/// Concatenation:  y[p, first + c] = x[p, c]
///
/// as kernels/rearrangement.hpp defines them: a selection puts the phases of a transposed
/// convolution in their places.
///
/// Layouts: dense, of any alignment, x in single precision or bf16, y in single precision.
///
/// Work: a thread moves one value. Where channels follow each other, as in all but permutations of
/// single values, a warp's accesses lie side by side.
///
/// Bytes: y once (4 per value), and of x what is read (4 or 2); places come from the caches.
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/row_operations.hpp"
#include "kernels/cuda/value.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

template <class T>
__global__ void __launch_bounds__(value_threads)
    selection_kernel(SelectionRow row, std::int64_t rows, const std::int64_t* places, const T* x,
                     float* y) {
  const std::int64_t i = own_value(), pixels = rows * row.pixels;
  if (i >= pixels * row.channels) return;
  const std::int64_t made = i / row.channels;
  const std::int64_t pixel = places[made % row.pixels],
                     channel = places[row.pixels + i % row.channels];
  y[i] = pixel < 0 || channel < 0
             ? row.fill
             : load(x + (made / row.pixels * row.in_pixels + pixel) * row.in_channels + channel);
}

template <class T>
__global__ void __launch_bounds__(value_threads)
    channels_kernel(std::int64_t pixels, std::int64_t channels, std::int64_t first, std::int64_t of,
                    const T* x, float* y) {
  const std::int64_t i = own_value();
  if (i < pixels * channels) y[i / channels * of + first + i % channels] = load(x + i);
}

}  // namespace

template <class T>
void select(void* stream, const SelectionRow& row, std::int64_t rows, const std::int64_t* places,
            const T* x, float* y) {
  const unsigned blocks = row_blocks(rows * row.pixels * row.channels);
  if (blocks == 0) return;
  launch<selection_kernel<T>>(blocks, value_threads, 0, static_cast<cudaStream_t>(stream), row,
                              rows, places, x, y);
}

template <class T>
void put_channels(void* stream, std::int64_t pixels, std::int64_t channels, std::int64_t first,
                  std::int64_t of, const T* x, float* y) {
  const unsigned blocks = row_blocks(pixels * channels);
  if (blocks == 0) return;
  launch<channels_kernel<T>>(blocks, value_threads, 0, static_cast<cudaStream_t>(stream), pixels,
                             channels, first, of, x, y);
}

using Bf16 = std::uint16_t;
template void select(void*, const SelectionRow&, std::int64_t, const std::int64_t*, const float*,
                     float*);
template void select(void*, const SelectionRow&, std::int64_t, const std::int64_t*, const Bf16*,
                     float*);
template void put_channels(void*, std::int64_t, std::int64_t, std::int64_t, std::int64_t,
                           const float*, float*);
template void put_channels(void*, std::int64_t, std::int64_t, std::int64_t, std::int64_t,
                           const Bf16*, float*);

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
