// Thread-block clusters: ranks, barrier.cluster, shared memory of peers, arrivals at their
// mbarriers and copies to several blocks; and the mistakes with them that must show. Compiled for
// compute_90.
#include <cooperative_groups.h>
#include <cuda.h>

#include "check.hpp"

namespace cg = cooperative_groups;
using std::vector;

__device__ static uint32_t smem(const void* p) { return (uint32_t)__cvta_generic_to_shared(p); }
__device__ static void initBar(uint64_t* b, int n) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(smem(b)), "r"(n) : "memory");
}
__device__ static void expectBytes(uint64_t* b, int n) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(smem(b)), "r"(n)
               : "memory");
}
__device__ static void arriveInPeer(uint64_t* b, uint32_t rank) {
  asm volatile(
      "{.reg .b32 a; mapa.shared::cluster.u32 a, %0, %1; "
      "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [a];}" ::"r"(smem(b)),
      "r"(rank)
      : "memory");
}
__device__ static void wait(uint64_t* b, int parity) {
  uint32_t done;
  do {
    asm volatile(
        "{.reg .pred p; mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%1], %2; "
        "selp.u32 %0, 1, 0, p;}"
        : "=r"(done)
        : "r"(smem(b)), "r"(parity)
        : "memory");
  } while (!done);
}
__device__ static void clusterArrive() {
  asm volatile("barrier.cluster.arrive.release;" ::: "memory");
}
__device__ static void clusterWait() { asm volatile("barrier.cluster.wait.acquire;" ::: "memory"); }
__device__ static uint32_t clusterRank() {
  uint32_t r;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(r));
  return r;
}

// Where each block is, by the special registers and by cooperative groups; its rank is told to the
// next one in its cluster through shared memory.
__global__ void __cluster_dims__(2, 2, 1) places(int* y) {
  __shared__ int from;
  auto cluster = cg::this_cluster();
  dim3 at = cluster.block_index(), n = cluster.dim_blocks();
  int blocks = cluster.num_blocks(), rank = cluster.block_rank();
  cluster.sync();
  if (threadIdx.x == 0) *cluster.map_shared_rank(&from, (rank + 1) % blocks) = rank;
  cluster.sync();
  if (threadIdx.x == 0) {
    int* to = y + 8 * (blockIdx.x + gridDim.x * blockIdx.y);
    to[0] = rank, to[1] = blocks, to[2] = at.x, to[3] = at.y, to[4] = n.x, to[5] = n.y;
    to[6] = from, to[7] = clusterRank();
  }
}
// Adds to a counter in block 0 from all blocks.
__global__ void counts(int* y) {
  __shared__ int sum;
  auto cluster = cg::this_cluster();
  if (threadIdx.x == 0) sum = 0;
  cluster.sync();
  atomicAdd(cluster.map_shared_rank(&sum, 0), 1);
  cluster.sync();
  if (threadIdx.x == 0) y[blockIdx.x] = sum;
}
// Half of the threads return, and the barrier of the cluster no longer waits for them.
__global__ void someReturn(int* y) {
  __shared__ int word;
  if (threadIdx.x == 0) word = 5 + clusterRank();
  if (threadIdx.x % 64 >= 32) return;
  clusterArrive();
  clusterWait();
  if (threadIdx.x == 0)
    y[blockIdx.x] = *cg::this_cluster().map_shared_rank(&word, clusterRank() ^ 1);
  clusterArrive();
  clusterWait();
}

enum Mistake { NONE, NO_FIRST, NO_LAST, TWICE, ONLY_WAIT, NO_BLOCK, DEADLOCK, SAME_WORD };
__global__ void exchange(int* y, int mistake) {
  __shared__ int word, came;
  uint32_t rank = clusterRank();
  if (threadIdx.x == 0) word = 10 + rank;
  if (mistake == ONLY_WAIT) clusterWait();
  if (mistake == DEADLOCK && rank && threadIdx.x < 32) asm volatile("bar.sync 1, 96;" ::: "memory");
  if (mistake != NO_FIRST) {
    clusterArrive();
    if (mistake == TWICE) clusterArrive();
    clusterWait();
  }
  if (threadIdx.x == 0) {
    auto cluster = cg::this_cluster();
    if (mistake == SAME_WORD)
      *cluster.map_shared_rank(&came, 0) = 10 + rank;
    else
      came = *cluster.map_shared_rank(&word, mistake == NO_BLOCK ? 2 : rank ^ 1);
  }
  if (mistake != NO_LAST || rank) {
    clusterArrive();
    clusterWait();
  }
  if (mistake == NO_LAST && rank) came = *cg::this_cluster().map_shared_rank(&word, 0);
  if (threadIdx.x == 0) y[blockIdx.x] = came;
}

// A ring of two slots of 1024 values, half of each copied by either block to both; each adds up.
enum Fault { RIGHT, NO_EXPECT, OWN_RELEASE, THIRD_BLOCK, NO_WAIT };
const int HALF = 64 * 8, BOX = 2 * HALF;
__global__ void ring(const __grid_constant__ CUtensorMap map, int steps, int fault, unsigned* y) {
  extern __shared__ __align__(1024) uint16_t slots[];
  __shared__ uint64_t full[2], empty[2];
  uint32_t rank = clusterRank(), lane = threadIdx.x % 32;
  if (threadIdx.x == 0) {
    for (int i = 0; i < 2; i++) {
      initBar(&full[i], 1);
      initBar(&empty[i], fault == OWN_RELEASE ? 1 : 2);
    }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  }
  clusterArrive();
  clusterWait();
  unsigned sum = 0;
  if (threadIdx.x == 32)
    for (int step = 0; step < steps; step++) {
      int s = step & 1, parity = step >> 1 & 1;
      wait(&empty[s], parity ^ 1);
      if (fault != NO_EXPECT || !rank) expectBytes(&full[s], BOX * 2);
      uint16_t blocks = fault == THIRD_BLOCK ? 7 : 3;
      asm volatile(
          "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
          ".multicast::cluster [%0], [%1, {%3, %4, %5}], [%2], %6;" ::"r"(
              smem(slots + s * BOX + rank * HALF)),
          "l"(&map), "r"(smem(&full[s])), "r"(0), "r"(0), "r"(step * 16 + (int)rank * 8),
          "h"(blocks)
          : "memory");
    }
  if (threadIdx.x < 32)
    for (int step = 0; step < steps; step++) {
      int s = step & 1;
      if (fault != NO_WAIT || !rank) wait(&full[s], step >> 1 & 1);
      // One block is slow, so that the other could run ahead.
      for (int i = 0; rank && i < 20; i++) __nanosleep(100);
      for (int i = lane; i < BOX; i += 32) sum += slots[s * BOX + i];
      __syncwarp();
      if (fault == OWN_RELEASE ? lane == rank : lane < 2) arriveInPeer(&empty[s], lane);
    }
  clusterArrive();
  clusterWait();
  if (threadIdx.x < 32) {
    sum = __reduce_add_sync(~0u, sum);
    if (lane == 0) y[blockIdx.x] = sum;
  }
}

// Each block writes its half of a place and sends it to the other, step after step.
enum Send { SENT, SEND_EARLY_RELEASE, SEND_NO_WAIT, SEND_BYTES, SEND_NO_EXPECT, SEND_WRONG_BAR };
__global__ void sending(int steps, int fault, unsigned* y) {
  __shared__ __align__(16) unsigned half[2][32];
  __shared__ uint64_t full, empty;
  uint32_t rank = clusterRank(), lane = threadIdx.x;
  if (lane == 0) {
    initBar(&full, 1);
    initBar(&empty, fault == SEND_EARLY_RELEASE ? 1 : 2);
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  clusterArrive();
  clusterWait();
  unsigned sum = 0;
  for (int step = 0; step < steps; step++) {
    wait(&empty, step & 1 ^ 1);
    half[rank][lane] = 1000 * rank + step + lane;
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncwarp();
    if (lane == 0) {
      if (fault != SEND_NO_EXPECT || !rank) expectBytes(&full, 128);
      asm volatile(
          "{.reg .b32 to, bar; mapa.shared::cluster.u32 to, %0, %3; "
          "mapa.shared::cluster.u32 bar, %2, %4; "
          "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [to], [%0], %1, "
          "[bar];}" ::"r"(smem(half[rank])),
          "r"(fault == SEND_BYTES ? 120 : 128), "r"(smem(&full)), "r"(rank ^ 1),
          "r"(fault == SEND_WRONG_BAR ? rank : rank ^ 1)
          : "memory");
    }
    if (fault != SEND_NO_WAIT || !rank) wait(&full, step & 1);
    for (int i = 0; rank && i < 20; i++) __nanosleep(100);  // one block is slow
    sum += half[0][lane] + half[1][lane];
    __syncwarp();
    if (fault == SEND_EARLY_RELEASE ? lane == rank : lane < 2) arriveInPeer(&empty, lane);
  }
  clusterArrive();
  clusterWait();
  sum = __reduce_add_sync(~0u, sum);
  if (lane == 0) y[blockIdx.x] = sum;
}

template <class... P, class... A>
static cudaError_t launch(void (*kernel)(P...), int grid, int threads, int shared, int cluster,
                          A... arguments) {
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = threads;
  config.dynamicSmemBytes = shared;
  cudaLaunchAttribute at;
  at.id = cudaLaunchAttributeClusterDimension;
  at.val.clusterDim = {(unsigned)cluster, 1, 1};
  config.attrs = &at;
  config.numAttrs = 1;
  cudaError_t e = cudaLaunchKernelEx(&config, kernel, P(arguments)...);
  if (!e) e = cudaDeviceSynchronize();
  CUDA(cudaDeviceReset());
  return e;
}

static void rings() {
  typedef CUresult (*Encode)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*,
                             const cuuint64_t*, const cuuint64_t*, const cuuint32_t*,
                             const cuuint32_t*, CUtensorMapInterleave, CUtensorMapSwizzle,
                             CUtensorMapL2promotion, CUtensorMapFloatOOBfill);
  void* f = nullptr;
  cudaDriverEntryPointQueryResult q;
  CUDA(
      cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &f, 12000, cudaEnableDefault, &q));
  const int steps = 7, rows = steps * 16;
  vector<uint16_t> x(rows * 64);
  unsigned expected = 0;
  for (size_t i = 0; i < x.size(); i++) expected += x[i] = (uint16_t)(i * 7 % 1000);
  Buffer<uint16_t> dx(x);
  CUtensorMap map;
  cuuint64_t dim[3] = {64, 1, rows}, stride[2] = {128, 128};
  cuuint32_t box[3] = {64, 1, 8}, ones[3] = {1, 1, 1};
  CHECK(((Encode)f)(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 3, dx.p, dim, stride, box, ones,
                    CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                    CU_TENSOR_MAP_L2_PROMOTION_NONE,
                    CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS);
  auto right = [&](int fault) {
    Buffer<unsigned> dy(vector<unsigned>(6, 0));
    if (launch(ring, 6, 64, 2 * BOX * 2, 2, map, steps, fault, dy.p)) return false;
    int wrong = 0;
    for (unsigned sum : dy.host()) wrong += sum != expected;
    return wrong == 0;
  };
  CHECK(right(RIGHT));
  CHECK(!right(NO_EXPECT), "bytes that block 1 does not expect");
  CHECK(!right(OWN_RELEASE), "a slot that the peer's consumer has not released");
  CHECK(!right(THIRD_BLOCK), "a copy to a block that is not there");
  CHECK(!right(NO_WAIT), "a missing wait");
}

static void sends() {
  const int steps = 7;
  auto right = [&](int fault) {
    Buffer<unsigned> dy(vector<unsigned>(4, 0));
    if (launch(sending, 4, 32, 0, 2, steps, fault, dy.p)) return false;
    int wrong = 0;
    for (unsigned sum : dy.host()) wrong += sum != steps * (32 * 1000 + 2 * 496) + 2 * 32 * 21;
    return wrong == 0;
  };
  CHECK(right(SENT));
  CHECK(!right(SEND_EARLY_RELEASE), "a place that the peer has not released");
  CHECK(!right(SEND_NO_WAIT), "a missing wait for what was sent");
  CHECK(!right(SEND_BYTES), "no multiple of 16 bytes");
  CHECK(!right(SEND_NO_EXPECT), "bytes that block 1 does not expect");
  CHECK(!right(SEND_WRONG_BAR), "an mbarrier of another block than the data");
}

int main() {
  {
    Buffer<int> y(8 * 4 * 4);
    places<<<dim3(4, 4), 32>>>(y);
    CUDA(cudaDeviceSynchronize());
    auto h = y.host();
    int bad = 0;
    for (int j = 0; j < 4; j++)
      for (int i = 0; i < 4; i++) {
        int rank = i % 2 + j % 2 * 2;
        int want[8] = {rank, 4, i % 2, j % 2, 2, 2, (rank + 3) % 4, rank};
        for (int k = 0; k < 8; k++) bad += h[8 * (i + 4 * j) + k] != want[k];
      }
    CHECK(bad == 0, "%d wrong places", bad);
    places<<<dim3(4, 3), 32>>>(y);
    CHECK(cudaDeviceSynchronize() != cudaSuccess || cudaGetLastError() != cudaSuccess,
          "a grid that is no multiple of the clusters");
    CUDA(cudaDeviceReset());
  }
  {
    Buffer<int> y(8);
    CUDA(launch(counts, 8, 96, 0, 4, y.p));
    auto sums = y.host();
    for (int i = 0; i < 8; i++) CHECK(sums[i] == (i % 4 ? 0 : 4 * 96));
    CUDA(launch(someReturn, 4, 128, 0, 2, y.p));
    auto h = y.host();
    for (int i = 0; i < 4; i++) CHECK(h[i] == 5 + (i & 1 ^ 1));
    CHECK(launch(counts, 6, 96, 0, 4, y.p) != cudaSuccess, "6 blocks in clusters of 4");
    CHECK(launch(counts, 16, 96, 0, 16, y.p) != cudaSuccess, "16 blocks in a cluster");
  }
  Buffer<int> y(4);
  auto fails = [&](int mistake) {
    return launch(exchange, 4, 64, 0, 2, y.p, mistake) != cudaSuccess;
  };
  CHECK(!fails(NONE));
  auto h = y.host();
  for (int i = 0; i < 4; i++) CHECK(h[i] == 10 + (i & 1 ^ 1));
  CHECK(fails(NO_FIRST), "a peer that may not run yet");
  CHECK(fails(NO_LAST), "a peer that has exited");
  CHECK(fails(TWICE), "two arrivals");
  CHECK(fails(ONLY_WAIT), "no arrival");
  CHECK(fails(NO_BLOCK), "no such block");
  CHECK(fails(DEADLOCK), "a warp of a peer that never comes to the barrier");
  if (const char* race = getenv("PTXRUN_RACE"); race && atoi(race))
    CHECK(fails(SAME_WORD), "two blocks write a word");
  rings();
  sends();
  return finish("clusters");
}
