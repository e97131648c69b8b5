/// packed = bf16(weight), in another order, see fragments.hpp. A thread makes two values, 4 bytes.
/// pack_matrices: 4 bytes to another place, whatever they are.
///
/// Bytes: 4 read and 2 written per weight, once for each network; of pack_matrices as many read as
/// written.
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/fragments.cuh"
#include "kernels/cuda/fragments.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx/convert.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

constexpr int block_threads = 256;

__global__ void __launch_bounds__(block_threads)
    pack_fragments_kernel(std::int64_t words, int in_c, int kernel, int out_c,
                          const float* __restrict__ weight, std::uint32_t* __restrict__ packed) {
  constexpr int k = WeightFragment::k, n = WeightFragment::n;
  const std::int64_t i = std::int64_t{blockIdx.x} * block_threads + threadIdx.x;
  if (i >= words) return;
  const int word = static_cast<int>(i % 4), lane = static_cast<int>(i / 4 % 32);
  const std::int64_t fragment = i / 128;
  const std::int64_t o = fragment % (out_c / n) * n + word / 2 * 8 + lane / 4;
  const std::int64_t tap = fragment / (out_c / n);  // [row, 16 inputs, column]
  const std::int64_t s = tap % kernel, r = tap / kernel / (in_c / k);
  const std::int64_t c = tap / kernel % (in_c / k) * k + word % 2 * 8 + lane % 4 * 2;
  const std::int64_t taps = std::int64_t{kernel} * kernel;
  const float* const from = weight + (o * in_c + c) * taps + r * kernel + s;
  packed[i] = ptx::to_bf16x2(from[0], from[taps]);
}

__global__ void __launch_bounds__(block_threads)
    pack_matrices_kernel(std::int64_t words, std::int64_t steps, int columns, int out_c,
                         const std::uint32_t* __restrict__ fragments,
                         std::uint32_t* __restrict__ packed) {
  const std::int64_t i = std::int64_t{blockIdx.x} * block_threads + threadIdx.x;
  if (i >= words) return;
  const int word = static_cast<int>(i % 4), row = static_cast<int>(i / 4 % 8);
  const int chunk = static_cast<int>(i / 32 % 2);
  const std::int64_t step = i / (columns * 8) % steps;
  const std::int64_t o = i / (columns * 8) / steps * columns + i / 64 % (columns / 8) * 8 + row;
  const std::int64_t fragment = step * (out_c / WeightFragment::n) + o / WeightFragment::n;
  packed[i] = fragments[(fragment * 32 + row * 4 + word) * 4 + o / 8 % 2 * 2 + chunk];
}

}  // namespace

void pack_fragments(void* stream, int in_c, int kernel, int out_c, const float* weight,
                    std::uint16_t* packed) {
  const std::int64_t words = std::int64_t{in_c} * out_c * kernel * kernel / 2;
  launch<pack_fragments_kernel>((words + block_threads - 1) / block_threads, block_threads, 0,
                                static_cast<cudaStream_t>(stream), words, in_c, kernel, out_c,
                                weight, reinterpret_cast<std::uint32_t*>(packed));
}

void pack_matrices(void* stream, std::int64_t steps, int columns, int out_c, const void* fragments,
                   void* packed) {
  const std::int64_t words = steps * out_c * 8;
  launch<pack_matrices_kernel>((words + block_threads - 1) / block_threads, block_threads, 0,
                               static_cast<cudaStream_t>(stream), words, steps, columns, out_c,
                               static_cast<const std::uint32_t*>(fragments),
                               static_cast<std::uint32_t*>(packed));
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
