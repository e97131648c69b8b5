/// y[pixel, c] = x[pixel, c], or 0 where c >= channels
/// packed[o, r, s, c] = weight[source + o source_o + c source_c + r source_r + s source_s], or 0
///
/// in bf16 or single precision: what the tensor-core convolutions read.
///
/// Layouts: x [pixels, channels] and weight OIHW in single precision; y [pixels, filled channels]
/// and packed (ConvPass) aligned to 16 bytes. Where pixels of x are multiples of 16 aligned bytes
/// they are read 16 bytes at a time.
///
/// Work: a thread makes one chunk, 16 bytes.
///
/// Fused: rounding, filling up. Bytes: 4 per element of x or weight read, 2 or 4 per element
/// written.
///
/// Registers (sm_80, sm_90; nvcc --resource-usage; none spilt): fill_channels 18, 18, pack_weight
/// 28,
/// 32. No shared memory.
#include "kernels/cuda/convolution_operands.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx/convert.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

constexpr int block_threads = 256;

__device__ __forceinline__ uint4 to_chunk(const float (&v)[8]) {
  return make_uint4(ptx::to_bf16x2(v[0], v[1]), ptx::to_bf16x2(v[2], v[3]),
                    ptx::to_bf16x2(v[4], v[5]), ptx::to_bf16x2(v[6], v[7]));
}
__device__ __forceinline__ uint4 to_chunk(const float (&v)[4]) {
  return make_uint4(__float_as_uint(v[0]), __float_as_uint(v[1]), __float_as_uint(v[2]),
                    __float_as_uint(v[3]));
}

__device__ __forceinline__ std::int64_t thread_number() {
  return std::int64_t{blockIdx.x} * block_threads + threadIdx.x;
}

/// vectorised: every chunk comes from aligned values.
template <class Element>
__global__ void __launch_bounds__(block_threads)
    fill_channels_kernel(std::int64_t chunks, int pixel_chunks, int channels, bool vectorised,
                         const float* __restrict__ x, uint4* __restrict__ y) {
  constexpr int chunk = chunk_of<Element>;
  const std::int64_t i = thread_number();
  if (i >= chunks) return;
  float values[chunk];
  if (vectorised) {
    for (int j = 0; j < chunk; j += 4) {
      const uint4 four = *reinterpret_cast<const uint4*>(x + i * chunk + j);
      values[j] = __uint_as_float(four.x), values[j + 1] = __uint_as_float(four.y);
      values[j + 2] = __uint_as_float(four.z), values[j + 3] = __uint_as_float(four.w);
    }
  } else {
    const std::int64_t pixel = i / pixel_chunks;
    const int c = static_cast<int>(i - pixel * pixel_chunks) * chunk;
    for (int j = 0; j < chunk; ++j)
      values[j] = c + j < channels ? x[pixel * channels + c + j] : 0.0f;
  }
  y[i] = to_chunk(values);
}

/// ConvPass's weight, for threads.
struct Source {
  std::int64_t chunks;
  int taps_w, taps, in_chunks, channels;
  std::int64_t first, o, c, r, s;
};

template <class Element>
__global__ void __launch_bounds__(block_threads)
    pack_weight_kernel(Source source, const float* __restrict__ weight,
                       uint4* __restrict__ packed) {
  constexpr int chunk = chunk_of<Element>;
  const std::int64_t i = thread_number();
  if (i >= source.chunks) return;
  const std::int64_t all_taps = i / source.in_chunks, o = all_taps / source.taps;
  const int c = static_cast<int>(i - all_taps * source.in_chunks) * chunk;
  const int tap = static_cast<int>(all_taps - o * source.taps);
  const float* const from = weight + source.first + o * source.o + c * source.c +
                            tap / source.taps_w * source.r + tap % source.taps_w * source.s;
  float values[chunk];
  for (int j = 0; j < chunk; ++j) values[j] = c + j < source.channels ? from[j * source.c] : 0.0f;
  packed[i] = to_chunk(values);
}

unsigned blocks_of(std::int64_t chunks) {
  return static_cast<unsigned>((chunks + block_threads - 1) / block_threads);
}

}  // namespace

template <class Element>
void fill_channels(void* stream, std::int64_t pixels, std::int64_t channels, const float* x,
                   Element* y) {
  const std::int64_t filled = filled_channels<Element>(channels);
  const std::int64_t chunks = pixels * filled / chunk_of<Element>;
  if (chunks == 0) return;
  launch<fill_channels_kernel<Element>>(
      blocks_of(chunks), block_threads, 0, static_cast<cudaStream_t>(stream), chunks,
      static_cast<int>(filled / chunk_of<Element>), static_cast<int>(channels),
      channels == filled && reinterpret_cast<std::uintptr_t>(x) % 16 == 0, x,
      reinterpret_cast<uint4*>(y));
}

template <class Element>
void pack_weight(void* stream, const std::vector<ConvPass>& passes, const float* weight,
                 Element* packed) {
  const auto to_int = [](std::int64_t value) { return static_cast<int>(value); };
  for (const ConvPass& pass : passes) {
    const std::int64_t chunks = pass.weight_size() / chunk_of<Element>;
    if (chunks == 0) continue;
    const Source source = {chunks,
                           to_int(pass.kernel_w),
                           to_int(pass.kernel_h * pass.kernel_w),
                           to_int(pass.in_c / chunk_of<Element>),
                           to_int(pass.channels),
                           pass.source,
                           pass.source_o,
                           pass.source_c,
                           pass.source_r,
                           pass.source_s};
    launch<pack_weight_kernel<Element>>(blocks_of(chunks), block_threads, 0,
                                        static_cast<cudaStream_t>(stream), source, weight,
                                        reinterpret_cast<uint4*>(packed + pass.weight_first));
  }
}

template void fill_channels(void*, std::int64_t, std::int64_t, const float*, std::uint16_t*);
template void fill_channels(void*, std::int64_t, std::int64_t, const float*, float*);
template void pack_weight(void*, const std::vector<ConvPass>&, const float*, std::uint16_t*);
template void pack_weight(void*, const std::vector<ConvPass>&, const float*, float*);

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
