// Cooperative groups (tiles, grid barrier), CUB block scan and block sort, constants.
#include <cub/cub.cuh>

#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>

#include "check.hpp"
namespace cg = cooperative_groups;
__constant__ float scale[4];
__device__ float acc;
template <int N>
__global__ void dot(const float* __restrict__ a, const float* __restrict__ b, int n) {
  auto blk = cg::this_thread_block();
  auto w = cg::tiled_partition<32>(blk);
  float s = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
    s += a[i] * b[i] * scale[i % N];
  s = cg::reduce(w, s, cg::plus<float>());
  if (w.thread_rank() == 0) atomicAdd(&acc, s);
}
__global__ void gridsync(float* x, int n) {
  auto g = cg::this_grid();
  int i = g.thread_rank();
  x[i] = i;
  g.sync();
  float v = x[(i + 37) % n];
  g.sync();
  x[i] = v * 2;
}
__global__ void cubscan(const int* in, int* out) {
  typedef cub::BlockScan<int, 128> S;
  __shared__ typename S::TempStorage t;
  int v[4];
  for (int k = 0; k < 4; k++) v[k] = in[threadIdx.x * 4 + k];
  S(t).ExclusiveSum(v, v);
  for (int k = 0; k < 4; k++) out[threadIdx.x * 4 + k] = v[k];
}
__global__ void cubsort(const unsigned* in, unsigned* out) {
  typedef cub::BlockRadixSort<unsigned, 128, 4> S;
  __shared__ typename S::TempStorage t;
  unsigned v[4];
  for (int k = 0; k < 4; k++) v[k] = in[threadIdx.x * 4 + k];
  S(t).Sort(v);
  for (int k = 0; k < 4; k++) out[threadIdx.x * 4 + k] = v[k];
}
int main() {
  int n = 10000;
  std::vector<float> a(n), b(n);
  float sc[4] = {1, 2, 3, 4};
  double r = 0;
  for (int i = 0; i < n; i++) {
    a[i] = sinf(i);
    b[i] = cosf(i * .3f);
    r += (double)a[i] * b[i] * sc[i % 4];
  }
  float *da, *db;
  CUDA(cudaMalloc(&da, n * 4));
  CUDA(cudaMalloc(&db, n * 4));
  CUDA(cudaMemcpy(da, a.data(), n * 4, cudaMemcpyHostToDevice));
  CUDA(cudaMemcpy(db, b.data(), n * 4, cudaMemcpyHostToDevice));
  CUDA(cudaMemcpyToSymbol(scale, sc, 16));
  float z = 0;
  CUDA(cudaMemcpyToSymbol(acc, &z, 4));
  dot<4><<<8, 128>>>(da, db, n);
  CUDA(cudaGetLastError());
  CUDA(cudaDeviceSynchronize());
  CUDA(cudaMemcpyFromSymbol(&z, acc, 4));
  CHECK(fabs(z - r) < 1e-3);
  int m = 256;
  void* args[] = {&da, &m};
  CUDA(cudaLaunchCooperativeKernel((void*)gridsync, dim3(4), dim3(64), args, 0, 0));
  CUDA(cudaMemcpy(a.data(), da, m * 4, cudaMemcpyDeviceToHost));
  int bad = 0;
  for (int i = 0; i < m; i++) bad += a[i] != 2 * ((i + 37) % m);
  CHECK(bad == 0);
  std::vector<int> in(512), out(512);
  for (int i = 0; i < 512; i++) in[i] = (i * 7919) % 101;
  int *di, *dob;
  CUDA(cudaMalloc(&di, 2048));
  CUDA(cudaMalloc(&dob, 2048));
  CUDA(cudaMemcpy(di, in.data(), 2048, cudaMemcpyHostToDevice));
  cubscan<<<1, 128>>>(di, dob);
  CUDA(cudaGetLastError());
  CUDA(cudaMemcpy(out.data(), dob, 2048, cudaMemcpyDeviceToHost));
  int s = 0;
  bad = 0;
  for (int i = 0; i < 512; i++) {
    bad += out[i] != s;
    s += in[i];
  }
  CHECK(bad == 0);
  cubsort<<<1, 128>>>((unsigned*)di, (unsigned*)dob);
  CUDA(cudaGetLastError());
  CUDA(cudaMemcpy(out.data(), dob, 2048, cudaMemcpyDeviceToHost));
  bad = 0;
  for (int i = 1; i < 512; i++) bad += out[i] < out[i - 1];
  CHECK(bad == 0);
  return finish("cooperative");
}
