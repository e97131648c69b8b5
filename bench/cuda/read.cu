/// Reads floats from the L2 cache: no formula, only loads of 16 bytes, four of each thread in
/// flight, that skip the L1 cache. Bytes: 4 count passes from L2. Never written: anything, unless
/// the sum happens to be one value, which the compiler cannot know.
#include "bench/cuda/read.hpp"
#include "kernels/cuda/launch.cuh"

namespace pixeldp::bench::PIXELDP_DEVICE {
namespace {

namespace on = kernels::PIXELDP_DEVICE;
#ifdef PIXELDP_EMULATED
using namespace emulator;
#endif

constexpr int block_threads = 256;

__device__ float4 load_past_l1(const float4* address) {
#ifdef PIXELDP_EMULATED
  return *address;
#else
  return __ldcg(address);
#endif
}

__global__ void __launch_bounds__(block_threads)
    read_kernel(const float4* data, std::int64_t count, int passes, float* result) {
  const std::int64_t first = std::int64_t{blockIdx.x} * block_threads + threadIdx.x;
  const std::int64_t step = std::int64_t{gridDim.x} * block_threads;
  float sum = 0.0f;
  for (int pass = 0; pass < passes; ++pass) {
#pragma unroll 4
    for (std::int64_t i = first; i < count; i += step) {
      const float4 v = load_past_l1(data + i);
      sum += (v.x + v.y) + (v.z + v.w);
    }
  }
  if (sum == 0.123456789f) *result = sum;
}

}  // namespace

void read_repeatedly(void* stream, int blocks, const float* data, std::int64_t count, int passes,
                     float* sum) {
  on::launch<read_kernel>(blocks, block_threads, 0, static_cast<cudaStream_t>(stream),
                          reinterpret_cast<const float4*>(data), count / 4, passes, sum);
}

}  // namespace pixeldp::bench::PIXELDP_DEVICE
