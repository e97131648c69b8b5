// The runtime stand-in: memory, streams, events, graphs, attributes, symbols, errors.
#include <string>

#include <cooperative_groups.h>
#include <cuda_profiler_api.h>

#include "check.hpp"

namespace cg = cooperative_groups;
using std::vector;

__constant__ float scale[4];
__device__ float offsets[8] = {1, 2, 3, 4, 5, 6, 7, 8};
__device__ __managed__ int shared_counter = 5;
__global__ void axpb(float* x, float a, float b, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) x[i] = a * x[i] + b;
}
__global__ void useSymbols(float* x) {
  x[threadIdx.x] = scale[threadIdx.x & 3] * offsets[threadIdx.x];
}
__global__ void bump() { atomicAdd(&shared_counter, 1); }
__global__ void bigShared(float* out) {
  extern __shared__ float s[];
  for (int i = threadIdx.x; i < 20000; i += blockDim.x) s[i] = (float)i;
  __syncthreads();
  if (threadIdx.x == 0) out[0] = s[19999];
}
__global__ void __launch_bounds__(128) bounded(float* x) { x[threadIdx.x] = 1; }
__global__ void gridSum(int* x, int n) {
  auto grid = cg::this_grid();
  int i = (int)grid.thread_rank();
  x[i] = i;
  grid.sync();
  int v = x[(i + 37) % n];
  grid.sync();
  x[i] = v;
}
struct Big {
  float v[40];
  int n;
};
__global__ void byValue(Big b, float* out) {
  out[threadIdx.x] = threadIdx.x < b.n ? b.v[threadIdx.x] : -1;
}

static void memory() {
  float *d, *e, *h;
  vector<float> v(1000), w(1000);
  for (int i = 0; i < 1000; i++) v[i] = (float)i;
  size_t before, total, after;
  CUDA(cudaMemGetInfo(&before, &total));
  CUDA(cudaMalloc(&d, 4000));
  CUDA(cudaMemGetInfo(&after, &total));
  CHECK(before - after >= 4000 && total >= before);
  CUDA(cudaMalloc((void**)&e, 4000));
  CUDA(cudaMemcpy(d, v.data(), 4000, cudaMemcpyHostToDevice));
  CUDA(cudaMemcpy(e, d, 4000, cudaMemcpyDeviceToDevice));
  CUDA(cudaMemcpyAsync(w.data(), e, 4000, cudaMemcpyDeviceToHost, 0));
  CUDA(cudaDeviceSynchronize());
  CHECK(v == w);
  CUDA(cudaMemset(d, 0, 4000));
  CUDA(cudaMemsetAsync(d, 0x3f, 8, 0));
  CUDA(cudaMemcpy(w.data(), d, 4000, cudaMemcpyDefault));
  uint32_t first;
  memcpy(&first, &w[1], 4);
  CHECK(first == 0x3f3f3f3fu && w[2] == 0);
  // 2-D: a 3 x 5 part of a 10-wide matrix
  CUDA(cudaMemcpy2D(d, 20, e, 40, 20, 3, cudaMemcpyDeviceToDevice));
  CUDA(cudaMemcpy(w.data(), d, 60, cudaMemcpyDeviceToHost));
  CHECK(w[4] == 4 && w[5] == 10 && w[14] == 24);
  CUDA(cudaMemset2D(e, 40, 0, 20, 3));
  CUDA(cudaMemcpy(w.data(), e, 120, cudaMemcpyDeviceToHost));
  CHECK(w[0] == 0 && w[5] == 5 && w[10] == 0 && w[15] == 15);
  CUDA(cudaMallocHost(&h, 4000));
  for (int i = 0; i < 1000; i++) h[i] = 2;
  axpb<<<4, 256>>>(h, 3, 1, 1000);  // pinned memory is visible to kernels
  CUDA(cudaDeviceSynchronize());
  CHECK(h[999] == 7);
  CUDA(cudaFreeHost(h));
  CUDA(cudaHostAlloc(&h, 64, cudaHostAllocDefault));
  CUDA(cudaFreeHost(h));
  CUDA(cudaFree(d));
  CUDA(cudaFree(e));
  CUDA(cudaFree(nullptr));
  cudaStream_t s;
  CUDA(cudaStreamCreate(&s));
  CUDA(cudaMallocAsync(&d, 400, s));
  CUDA(cudaMemsetAsync(d, 0, 400, s));
  axpb<<<1, 100, 0, s>>>(d, 1, 5, 100);
  CUDA(cudaMemcpyAsync(w.data(), d, 400, cudaMemcpyDeviceToHost, s));
  CUDA(cudaFreeAsync(d, s));
  CUDA(cudaStreamSynchronize(s));
  CHECK(w[99] == 5);
  cudaMemPool_t pool;
  uint64_t threshold = UINT64_MAX, got = 0;
  CUDA(cudaDeviceGetDefaultMemPool(&pool, 0));
  CUDA(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &threshold));
  CUDA(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &got));
  CHECK(got == threshold);
  CUDA(cudaMallocFromPoolAsync((void**)&d, 100, pool, s));
  CUDA(cudaFreeAsync(d, s));
  CUDA(cudaMemPoolTrimTo(pool, 0));
  CUDA(cudaStreamDestroy(s));
  // mistakes
  CUDA(cudaMalloc(&d, 100));
  CHECK(cudaMemcpy(d, v.data(), 101, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  CHECK(cudaMemcpy(v.data(), w.data(), 4, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
  CHECK(cudaMemcpy(d, d, 4, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  CHECK(cudaMemset(d, 0, 101) == cudaErrorInvalidValue);
  CHECK(cudaFree(d + 1) == cudaErrorInvalidValue);
  CUDA(cudaFree(d));
  CHECK(cudaFree(d) == cudaErrorInvalidValue);
  CHECK(cudaMalloc(&d, (size_t)1 << 50) == cudaErrorMemoryAllocation);
  CHECK(cudaGetLastError() == cudaErrorMemoryAllocation && cudaGetLastError() == cudaSuccess);
}

static void symbols() {
  float s[4] = {1, 10, 100, 1000}, o[8];
  CUDA(cudaMemcpyToSymbol(scale, s, sizeof s));
  Buffer<float> x(8);
  useSymbols<<<1, 8>>>(x);
  auto h = x.host();
  CHECK(h[0] == 1 && h[3] == 4000 && h[7] == 8000);
  void* p;
  size_t n;
  CUDA(cudaGetSymbolAddress(&p, offsets));
  CUDA(cudaGetSymbolSize(&n, offsets));
  CHECK(n == 32);
  CUDA(cudaMemcpy((float*)p + 2, s, 4, cudaMemcpyHostToDevice));
  CUDA(cudaMemcpyFromSymbol(o, offsets, sizeof o));
  CHECK(o[2] == 1 && o[3] == 4);
  CHECK(cudaMemcpyToSymbol(scale, s, 17) == cudaErrorInvalidValue);
  cudaGetLastError();
  bump<<<2, 32>>>();
  CUDA(cudaDeviceSynchronize());
  CHECK(shared_counter == 69);
}

static void launches() {
  Buffer<float> x(vector<float>(256, 1.f));
  int n = 256;
  float a = 2, b = 1;
  float* p = x;
  void* args[] = {&p, &a, &b, &n};
  CUDA(cudaLaunchKernel((void*)axpb, dim3(1), dim3(256), args, 0, 0));
  cudaLaunchConfig_t c = {};
  c.gridDim = dim3(2);
  c.blockDim = dim3(128);
  cudaLaunchAttribute at[1];
  at[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  at[0].val.programmaticStreamSerializationAllowed = 1;
  c.attrs = at;
  c.numAttrs = 1;
  CUDA(cudaLaunchKernelEx(&c, axpb, p, 2.f, 1.f, 256));
  CUDA(cudaLaunchKernelExC(&c, (void*)axpb, args));
  CHECK(x.host()[255] == 15);
  Big big = {};
  big.n = 40;
  for (int i = 0; i < 40; i++) big.v[i] = (float)i;
  byValue<<<1, 64>>>(big, x);
  auto h = x.host();
  CHECK(h[39] == 39 && h[40] == -1);
  // shared memory beyond 48 KiB needs the attribute
  bigShared<<<1, 128, 80000>>>(x);
  CHECK(cudaGetLastError() == cudaErrorInvalidValue);
  CUDA(cudaFuncSetAttribute(bigShared, cudaFuncAttributeMaxDynamicSharedMemorySize, 80000));
  bigShared<<<1, 128, 80000>>>(x);
  CUDA(cudaGetLastError());
  CHECK(x.host()[0] == 19999);
  CHECK(cudaFuncSetAttribute(bigShared, cudaFuncAttributeMaxDynamicSharedMemorySize, 300000) ==
        cudaErrorInvalidValue);
  axpb<<<1, 2000>>>(x, 1, 1, 1);
  CHECK(cudaGetLastError() == cudaErrorInvalidConfiguration);
  bounded<<<1, 256>>>(x);
  CHECK(cudaGetLastError() != cudaSuccess, "launch bounds");
  CUDA(cudaGetLastError());
  cudaFuncAttributes fa;
  CUDA(cudaFuncGetAttributes(&fa, bigShared));
  CHECK(fa.maxThreadsPerBlock == 1024 && fa.maxDynamicSharedSizeBytes == 80000);
  int blocks;
  CUDA(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, axpb, 256, 0));
  CHECK(blocks == 8);
  CUDA(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, bigShared, 128, 80000));
  CHECK(blocks == 2);
  int m = 256;
  Buffer<int> gi(m);
  int* q = gi;
  void* cargs[] = {&q, &m};
  CUDA(cudaLaunchCooperativeKernel((void*)gridSum, dim3(4), dim3(64), cargs, 0, 0));
  auto r = gi.host();
  int bad = 0;
  for (int i = 0; i < m; i++) bad += r[i] != (i + 37) % m;
  CHECK(bad == 0);
}

static void device() {
  int n, v, d;
  CUDA(cudaGetDeviceCount(&n));
  CHECK(n == 1);
  CUDA(cudaSetDevice(0));
  CUDA(cudaGetDevice(&d));
  CHECK(d == 0 && cudaSetDevice(1) == cudaErrorInvalidDevice);
  cudaGetLastError();
  cudaDeviceProp p;
  CUDA(cudaGetDeviceProperties(&p, 0));
  CHECK(std::string(p.name) == "ptxrun (functional PTX interpreter)");
  CUDA(cudaDeviceGetAttribute(&v, cudaDevAttrComputeCapabilityMajor, 0));
  CHECK(v == p.major);
  CUDA(cudaDeviceGetAttribute(&v, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0));
  CHECK((size_t)v == p.sharedMemPerBlockOptin);
  CUDA(cudaDriverGetVersion(&v));
  CHECK(v == CUDART_VERSION);
  CUDA(cudaRuntimeGetVersion(&v));
  CHECK(v == CUDART_VERSION);
  CHECK(std::string(cudaGetErrorName(cudaErrorInvalidValue)) == "cudaErrorInvalidValue");
  CHECK(std::string(cudaGetErrorString(cudaErrorInvalidValue)) == "invalid argument");
  CHECK(cudaPeekAtLastError() == cudaSuccess);
  CUDA(cudaProfilerStart());
  CUDA(cudaProfilerStop());
}

static void hostStep(void* p) { ++*(int*)p; }
static void streamsAndGraphs() {
  cudaStream_t s, t;
  cudaEvent_t a, b, fork, join;
  CUDA(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
  CUDA(cudaStreamCreateWithPriority(&t, cudaStreamNonBlocking, 0));
  CUDA(cudaEventCreate(&a));
  CUDA(cudaEventCreate(&b));
  CUDA(cudaEventCreateWithFlags(&fork, cudaEventDisableTiming));
  CUDA(cudaEventCreateWithFlags(&join, cudaEventDisableTiming));
  Buffer<float> x(vector<float>(64, 1.f)), y(64);
  vector<float> out(64);
  int steps = 0;
  CUDA(cudaEventRecord(a, s));
  axpb<<<1, 64, 0, s>>>(x, 1, 1, 64);
  CUDA(cudaEventRecord(b, s));
  CUDA(cudaStreamWaitEvent(t, b, 0));
  CUDA(cudaEventSynchronize(b));
  CUDA(cudaEventQuery(b));
  CUDA(cudaStreamQuery(s));
  float ms = -1;
  CUDA(cudaEventElapsedTime(&ms, a, b));
  CHECK(ms > 0);
  CUDA(cudaLaunchHostFunc(s, hostStep, &steps));
  CHECK(steps == 1 && x.host()[0] == 2);
  // capture over two streams: nothing runs until launch
  cudaStreamCaptureStatus status;
  CUDA(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal));
  CUDA(cudaStreamIsCapturing(s, &status));
  CHECK(status == cudaStreamCaptureStatusActive);
  axpb<<<1, 64, 0, s>>>(x, 2, 0, 64);
  CUDA(cudaEventRecord(fork, s));
  CUDA(cudaStreamWaitEvent(t, fork, 0));
  CUDA(cudaMemsetAsync(y, 0, 256, t));
  CUDA(cudaEventRecord(join, t));
  CUDA(cudaStreamWaitEvent(s, join, 0));
  CUDA(cudaMemcpyAsync(y, x, 128, cudaMemcpyDeviceToDevice, s));
  CUDA(cudaLaunchHostFunc(s, hostStep, &steps));
  cudaGraph_t g;
  CUDA(cudaStreamEndCapture(s, &g));
  CUDA(cudaStreamIsCapturing(t, &status));
  CHECK(status == cudaStreamCaptureStatusNone);
  CHECK(x.host()[0] == 2 && steps == 1);
  size_t n = 0;
  CUDA(cudaGraphGetNodes(g, nullptr, &n));
  CHECK(n == 4);
  cudaGraphExec_t exec;
  CUDA(cudaGraphInstantiate(&exec, g, 0));
  for (int i = 0; i < 3; i++) CUDA(cudaGraphLaunch(exec, s));
  CUDA(cudaStreamSynchronize(s));
  auto h = y.host();
  CHECK(x.host()[0] == 16 && h[31] == 16 && h[32] == 0 && steps == 4);
  // change one kernel node
  vector<cudaGraphNode_t> nodes(n);
  CUDA(cudaGraphGetNodes(g, nodes.data(), &n));
  cudaGraphNodeType type;
  CUDA(cudaGraphNodeGetType(nodes[0], &type));
  CHECK(type == cudaGraphNodeTypeKernel);
  cudaKernelNodeParams kp;
  CUDA(cudaGraphKernelNodeGetParams(nodes[0], &kp));
  *(float*)kp.kernelParams[1] = 0;
  *(float*)kp.kernelParams[2] = 9;
  CUDA(cudaGraphExecKernelNodeSetParams(exec, nodes[0], &kp));
  CUDA(cudaGraphLaunch(exec, s));
  CHECK(x.host()[5] == 9);
  // update from a second capture of the same shape; refuse another shape
  auto capture = [&](float add, bool extra) {
    cudaGraph_t q;
    CUDA(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal));
    axpb<<<1, 64, 0, s>>>(x, 1, add, 64);
    CUDA(cudaMemsetAsync(y, 0, 256, s));
    CUDA(cudaMemcpyAsync(y, x, 128, cudaMemcpyDeviceToDevice, s));
    CUDA(cudaLaunchHostFunc(s, hostStep, &steps));
    if (extra) CUDA(cudaMemsetAsync(y, 0, 4, s));
    CUDA(cudaStreamEndCapture(s, &q));
    return q;
  };
  cudaGraph_t g2 = capture(100, false), g3 = capture(100, true);
  cudaGraphExecUpdateResultInfo info;
  CUDA(cudaGraphExecUpdate(exec, g2, &info));
  CUDA(cudaGraphLaunch(exec, s));
  CHECK(y.host()[0] == 109);
  CHECK(cudaGraphExecUpdate(exec, g3, &info) == cudaErrorGraphExecUpdateFailure &&
        info.result == cudaGraphExecUpdateErrorTopologyChanged);
  cudaGetLastError();
  CUDA(cudaGraphExecDestroy(exec));
  for (auto q : {g, g2, g3}) CUDA(cudaGraphDestroy(q));
  // a graph built by hand
  cudaGraphNode_t n1, n2, n3;
  CUDA(cudaGraphCreate(&g, 0));
  cudaMemsetParams mp = {};
  mp.dst = x;
  mp.elementSize = 4;
  mp.width = 64;
  mp.height = 1;
  mp.value = 0x40000000;  // 2.0f
  CUDA(cudaGraphAddMemsetNode(&n1, g, nullptr, 0, &mp));
  float* xp = x;
  float ka = 3, kb = 1;
  int kn = 64;
  void* kargs[] = {&xp, &ka, &kb, &kn};
  cudaKernelNodeParams k2 = {};
  k2.func = (void*)axpb;
  k2.gridDim = dim3(1);
  k2.blockDim = dim3(64);
  k2.kernelParams = kargs;
  CUDA(cudaGraphAddKernelNode(&n2, g, &n1, 1, &k2));
  CUDA(cudaGraphAddMemcpyNode1D(&n3, g, &n2, 1, out.data(), xp, 256, cudaMemcpyDeviceToHost));
  CUDA(cudaGraphInstantiateWithFlags(&exec, g, 0));
  CUDA(cudaGraphLaunch(exec, s));
  CHECK(out[63] == 7);
  CUDA(cudaGraphExecDestroy(exec));
  CUDA(cudaGraphDestroy(g));
  // what a capture forbids
  CUDA(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal));
  CHECK(cudaStreamSynchronize(s) == cudaErrorStreamCaptureUnsupported);
  CHECK(cudaStreamEndCapture(s, &g) == cudaErrorStreamCaptureInvalidated && !g);
  void* never;
  CUDA(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal));
  CHECK(cudaMalloc(&never, 4) == cudaErrorStreamCaptureUnsupported);
  CHECK(cudaStreamEndCapture(s, &g) == cudaErrorStreamCaptureInvalidated);
  cudaStream_t blocking;
  CUDA(cudaStreamCreate(&blocking));
  CUDA(cudaStreamBeginCapture(blocking, cudaStreamCaptureModeRelaxed));
  CHECK(cudaMemset(x, 0, 4) == cudaErrorStreamCaptureImplicit);
  CHECK(cudaStreamEndCapture(blocking, &g) == cudaErrorStreamCaptureInvalidated);
  CUDA(cudaStreamDestroy(blocking));
  cudaGetLastError();
  for (auto e : {a, b, fork, join}) CUDA(cudaEventDestroy(e));
  CUDA(cudaStreamDestroy(s));
  CUDA(cudaStreamDestroy(t));
}

static void faults() {  // last: a fault stays until the device is reset
  Buffer<float> x(10);
  axpb<<<1, 32>>>(x, 1, 1, 32);
  CHECK(cudaDeviceSynchronize() == cudaErrorIllegalAddress);
  float v;
  CHECK(cudaMemcpy(&v, x, 4, cudaMemcpyDeviceToHost) == cudaErrorIllegalAddress);
  CHECK(cudaGetLastError() == cudaErrorIllegalAddress);
  CUDA(cudaDeviceReset());
  axpb<<<1, 10>>>((float*)((char*)x.p + 2), 1, 1, 4);
  CHECK(cudaGetLastError() == cudaErrorMisalignedAddress);
  CUDA(cudaDeviceReset());
  float host[4];
  axpb<<<1, 4>>>(host, 1, 1, 4);  // memory of the host
  CHECK(cudaGetLastError() == cudaErrorIllegalAddress);
  CUDA(cudaDeviceReset());
}

int main(int argc, char** argv) {
  if (argc > 1) {  // must abort and name the call
    cudaExternalMemory_t e;
    cudaImportExternalMemory(&e, nullptr);
    return 0;
  }
  memory();
  symbols();
  launches();
  device();
  streamsAndGraphs();
  faults();
  return finish("runtime");
}
