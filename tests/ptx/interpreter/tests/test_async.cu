// mbarrier, cp.async with mbarrier, cuda::barrier, bulk copies in one dimension and of tensors.
// Compiled for compute_90.
#include <cuda/barrier>

#include <cuda.h>

#include "check.hpp"

using std::vector;

__device__ static uint32_t smem(const void* p) { return (uint32_t)__cvta_generic_to_shared(p); }
__device__ static void initBar(uint64_t* b, int n) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(smem(b)), "r"(n) : "memory");
}
__device__ static void arrive(uint64_t* b) {
  asm volatile("{.reg .b64 t; mbarrier.arrive.shared::cta.b64 t, [%0];}" ::"r"(smem(b)) : "memory");
}
__device__ static void expectBytes(uint64_t* b, int n) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(smem(b)), "r"(n)
               : "memory");
}
__device__ static void wait(uint64_t* b, int parity) {
  uint32_t done;
  do {
    asm volatile(
        "{.reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, "
        "p;}"
        : "=r"(done)
        : "r"(smem(b)), "r"(parity)
        : "memory");
  } while (!done);
}

// Warp 0 makes values, warps 1 to 3 take them, over two stages with full and empty barriers.
__global__ void pipeline(const int* x, int* y, int n) {
  __shared__ int stage[2][32];
  __shared__ uint64_t full[2], empty[2];
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (threadIdx.x == 0)
    for (int i = 0; i < 2; i++) {
      initBar(&full[i], 32);
      initBar(&empty[i], 96);
    }
  __syncthreads();
  int sum = 0;
  for (int k = 0; k < n; k++) {
    int s = k & 1, phase = k >> 1 & 1;
    if (warp == 0) {
      if (k >= 2) wait(&empty[s], phase ^ 1);
      stage[s][lane] = x[k * 32 + lane];
      arrive(&full[s]);
    } else {
      wait(&full[s], phase);
      sum += stage[s][(lane + warp) % 32];
      arrive(&empty[s]);
    }
  }
  if (warp) y[threadIdx.x - 32] = sum;
}
__global__ void cpArrive(const float4* x, float4* y, bool waits) {
  __shared__ float4 s[64];
  __shared__ uint64_t bar;
  if (threadIdx.x == 0) initBar(&bar, 64);
  __syncthreads();
  asm volatile(
      "cp.async.cg.shared.global [%0],[%1],16;\ncp.async.mbarrier.arrive.noinc.shared::cta.b64 "
      "[%2];" ::"r"(smem(&s[threadIdx.x])),
      "l"(x + threadIdx.x), "r"(smem(&bar))
      : "memory");
  if (waits) wait(&bar, 0);
  __syncthreads();
  y[threadIdx.x] = s[63 - threadIdx.x];
}
__global__ void stdBarrier(int* y) {
  __shared__ cuda::barrier<cuda::thread_scope_block> bar;
  __shared__ int s[128];
  if (threadIdx.x == 0) init(&bar, blockDim.x);
  __syncthreads();
  for (int k = 0; k < 3; k++) {
    s[threadIdx.x] = threadIdx.x * (k + 1);
    bar.arrive_and_wait();
    y[threadIdx.x] = s[127 - threadIdx.x];
    bar.arrive_and_wait();
  }
}
__global__ void bulk(const float* x, float* y, int n, bool waits) {
  __shared__ __align__(128) float s[1024];
  __shared__ uint64_t bar;
  if (threadIdx.x == 0) initBar(&bar, 1);
  __syncthreads();
  if (threadIdx.x == 0) {
    expectBytes(&bar, n * 4);
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
            "r"(smem(s)),
        "l"(x), "r"(n * 4), "r"(smem(&bar))
        : "memory");
  }
  if (waits) wait(&bar, 0);
  for (int i = threadIdx.x; i < n; i += blockDim.x) s[i] += 1;
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  __syncthreads();
  if (threadIdx.x == 0)
    asm volatile(
        "cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], "
        "%2;\ncp.async.bulk.commit_group;\ncp.async.bulk.wait_group 0;" ::"l"(y),
        "r"(smem(s)), "r"(n * 4)
        : "memory");
}
// One box of a 2-D tensor of 16-bit values into shared memory, dumped as it lies there, and stored
// through a second map.
__global__ void tensor2(const __grid_constant__ CUtensorMap in,
                        const __grid_constant__ CUtensorMap out, uint16_t* dump, int x, int y,
                        int count) {
  extern __shared__ __align__(1024) uint16_t s2[];
  __shared__ uint64_t bar;
  if (threadIdx.x == 0) initBar(&bar, 1);
  __syncthreads();
  if (threadIdx.x == 0) {
    expectBytes(&bar, count * 2);
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, "
        "{%2, %3}], [%4];" ::"r"(smem(s2)),
        "l"(&in), "r"(x), "r"(y), "r"(smem(&bar))
        : "memory");
  }
  wait(&bar, 0);
  for (int i = threadIdx.x; i < count; i += blockDim.x) dump[i] = s2[i];
  __syncthreads();
  if (threadIdx.x == 0)
    asm volatile(
        "cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%1, %2}], "
        "[%3];\ncp.async.bulk.commit_group;\ncp.async.bulk.wait_group.read 0;" ::"l"(&out),
        "r"(x), "r"(y), "r"(smem(s2))
        : "memory");
}
__global__ void tensor4(const __grid_constant__ CUtensorMap in, float* dump, int4 c, int count) {
  extern __shared__ __align__(1024) float s4[];
  __shared__ uint64_t bar;
  if (threadIdx.x == 0) initBar(&bar, 1);
  __syncthreads();
  if (threadIdx.x == 0) {
    expectBytes(&bar, count * 4);
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], "
        "[%1, {%2, %3, %4, %5}], [%6];" ::"r"(smem(s4)),
        "l"(&in), "r"(c.x), "r"(c.y), "r"(c.z), "r"(c.w), "r"(smem(&bar))
        : "memory");
  }
  wait(&bar, 0);
  for (int i = threadIdx.x; i < count; i += blockDim.x) dump[i] = s4[i];
}

typedef CUresult (*Encode)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*,
                           const cuuint64_t*, const cuuint32_t*, const cuuint32_t*,
                           CUtensorMapInterleave, CUtensorMapSwizzle, CUtensorMapL2promotion,
                           CUtensorMapFloatOOBfill);
static Encode encode;

static void tensors() {
  void* f = nullptr;
  cudaDriverEntryPointQueryResult q;
  CUDA(
      cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &f, 12000, cudaEnableDefault, &q));
  CHECK(f && q == cudaDriverEntryPointSuccess);
  encode = (Encode)f;
  const int W = 104, H = 50;
  vector<uint16_t> x(W * H);
  for (int i = 0; i < W * H; i++) x[i] = (uint16_t)(i + 1);
  const cuuint32_t ones[5] = {1, 1, 1, 1, 1};
  struct Case {
    CUtensorMapSwizzle kind;
    int span, bw, bh, x, y;
  } cases[] = {{CU_TENSOR_MAP_SWIZZLE_NONE, 0, 40, 7, 8, 3},
               {CU_TENSOR_MAP_SWIZZLE_128B, 128, 64, 20, 16, 5},
               {CU_TENSOR_MAP_SWIZZLE_64B, 64, 32, 24, 32, 0},
               {CU_TENSOR_MAP_SWIZZLE_32B, 32, 16, 16, 5, 1},
               {CU_TENSOR_MAP_SWIZZLE_128B, 128, 64, 16, 80, 44},  // over both far edges
               {CU_TENSOR_MAP_SWIZZLE_NONE, 0, 16, 8, -3, -2}};    // over both near edges
  for (auto& c : cases) {
    Buffer<uint16_t> dx(x), dy(vector<uint16_t>(W * H, 0)), dump(c.bw * c.bh);
    CUtensorMap in, out;
    cuuint64_t dim[2] = {W, H}, stride[1] = {W * 2};
    cuuint32_t box[2] = {(cuuint32_t)c.bw, (cuuint32_t)c.bh};
    for (auto* t : {&in, &out})
      CHECK(encode(t, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, t == &in ? dx.p : dy.p, dim, stride, box,
                   ones, CU_TENSOR_MAP_INTERLEAVE_NONE, c.kind, CU_TENSOR_MAP_L2_PROMOTION_NONE,
                   CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS);
    tensor2<<<1, 64, c.bw * c.bh * 2>>>(in, out, dump, c.x, c.y, c.bw * c.bh);
    CUDA(cudaDeviceSynchronize());
    auto d = dump.host(), y = dy.host();
    int bad = 0, badOut = 0;
    for (int j = 0; j < c.bh; j++)
      for (int i = 0; i < c.bw; i++) {
        int gx = c.x + i, gy = c.y + j;
        uint16_t want = gx >= 0 && gx < W && gy >= 0 && gy < H ? x[gy * W + gx] : 0;
        // The 16-byte chunk within a row is xored with the number of the 128-byte line.
        unsigned byte = (j * c.bw + i) * 2, line = byte / 128;
        unsigned mask = c.span == 128 ? 7 : c.span == 64 ? 3 : c.span == 32 ? 1 : 0;
        byte ^= (line & mask) * 16;
        bad += d[byte / 2] != want;
      }
    for (int j = 0; j < H; j++)
      for (int i = 0; i < W; i++) {
        bool in_ = i >= c.x && i < c.x + c.bw && j >= c.y && j < c.y + c.bh;
        badOut += y[j * W + i] != (in_ ? x[j * W + i] : 0);
      }
    CHECK(bad == 0 && badOut == 0, "swizzle %d: %d wrong in shared, %d wrong out", c.span, bad,
          badOut);
  }
  {  // 4-D with NaN fill
    const int D[4] = {8, 5, 4, 3}, B[4] = {4, 3, 2, 2}, C[4] = {6, 1, 3, 1};
    vector<float> v(480);
    for (int i = 0; i < 480; i++) v[i] = (float)i;
    Buffer<float> dv(v), dump(48);
    CUtensorMap t;
    cuuint64_t dim[4] = {8, 5, 4, 3}, stride[3] = {32, 160, 640};
    cuuint32_t box[4] = {4, 3, 2, 2};
    CHECK(encode(&t, CU_TENSOR_MAP_DATA_TYPE_FLOAT32, 4, dv.p, dim, stride, box, ones,
                 CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_NONE,
                 CU_TENSOR_MAP_L2_PROMOTION_NONE,
                 CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA) == CUDA_SUCCESS);
    tensor4<<<1, 32, 48 * 4>>>(t, dump, make_int4(C[0], C[1], C[2], C[3]), 48);
    CUDA(cudaDeviceSynchronize());
    auto d = dump.host();
    int bad = 0, k = 0;
    for (int w = 0; w < B[3]; w++)
      for (int z = 0; z < B[2]; z++)
        for (int y = 0; y < B[1]; y++)
          for (int i = 0; i < B[0]; i++, k++) {
            int g[4] = {C[0] + i, C[1] + y, C[2] + z, C[3] + w};
            bool in_ = g[0] < D[0] && g[1] < D[1] && g[2] < D[2] && g[3] < D[3];
            bad += in_ ? d[k] != v[((g[3] * 4 + g[2]) * 5 + g[1]) * 8 + g[0]] : !std::isnan(d[k]);
          }
    CHECK(bad == 0, "4-D box: %d wrong", bad);
    dim[0] = 7;
    stride[0] = 28;
    CHECK(encode(&t, CU_TENSOR_MAP_DATA_TYPE_FLOAT32, 4, dv.p, dim, stride, box, ones,
                 CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_NONE,
                 CU_TENSOR_MAP_L2_PROMOTION_NONE,
                 CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_ERROR_INVALID_VALUE);
  }
}

int main() {
  int n = 9;
  vector<int> x(32 * n);
  for (auto& v : x) v = rng() % 1000;
  Buffer<int> dx(x), dy(96);
  pipeline<<<1, 128>>>(dx, dy, n);
  CUDA(cudaDeviceSynchronize());
  auto y = dy.host();
  for (int w = 1; w < 4; w++)
    for (int l = 0; l < 32; l++) {
      int s = 0;
      for (int k = 0; k < n; k++) s += x[k * 32 + (l + w) % 32];
      CHECK(y[(w - 1) * 32 + l] == s);
    }
  auto f = normal(1024);
  Buffer<float> df(f), dg(1024);
  cpArrive<<<1, 64>>>((float4*)df.p, (float4*)dg.p, true);
  auto g = dg.host();
  CHECK(g[0] == f[252] && g[255] == f[3]);
  cpArrive<<<1, 64>>>((float4*)df.p, (float4*)dg.p, false);
  CHECK(std::isnan(dg.host()[0]), "a missing wait must show");
  Buffer<int> di(128);
  stdBarrier<<<1, 128>>>(di);
  CUDA(cudaDeviceSynchronize());
  CHECK(di.host()[0] == 381 && di.host()[127] == 0);
  bulk<<<1, 64>>>(df, dg, 1000, true);
  CUDA(cudaDeviceSynchronize());
  g = dg.host();
  int bad = 0;
  for (int i = 0; i < 1000; i++) bad += g[i] != f[i] + 1;
  CHECK(bad == 0, "bulk copy: %d wrong", bad);
  bulk<<<1, 64>>>(df, dg, 1000, false);
  CUDA(cudaDeviceSynchronize());
  CHECK(std::isnan(dg.host()[999]), "a missing wait must show");
  tensors();
  bulk<<<1, 64>>>(df, dg, 1001, true);
  CHECK(cudaGetLastError() != cudaSuccess, "size that is no multiple of 16");
  CUDA(cudaDeviceReset());
  return finish("async");
}
