// The device, its properties and limits.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <unistd.h>

#include "cudart/runtime.hpp"

namespace ptxrun {
namespace {
constexpr size_t kib = 1024, reserved_shared_memory = 1 * kib;
constexpr int multiprocessors = 4, most_threads = 2048, most_blocks = 32;  // of a multiprocessor
constexpr int clock_khz = 1000000;  // nothing is known of time
size_t shared_memory() { return (architecture() >= 90 ? 228 : 164) * kib; }  // of the same

cudaDeviceProp properties() {
  cudaDeviceProp p;
  memset(&p, 0, sizeof p);
  snprintf(p.name, sizeof p.name, "ptxrun (functional PTX interpreter)");
  p.major = architecture() / 10;
  p.minor = architecture() % 10;
  p.warpSize = 32;
  p.pciBusID = getpid();  // each process has a device of its own
  p.multiProcessorCount = multiprocessors;
  p.maxThreadsPerBlock = 1024;
  p.maxThreadsPerMultiProcessor = most_threads;
  p.maxBlocksPerMultiProcessor = most_blocks;
  p.sharedMemPerBlock = 48 * kib;
  p.sharedMemPerBlockOptin = most_shared_memory();
  p.sharedMemPerMultiprocessor = shared_memory();
  p.reservedSharedMemPerBlock = reserved_shared_memory;
  p.regsPerBlock = p.regsPerMultiprocessor = 65536;
  p.totalGlobalMem = total_memory();
  p.totalConstMem = 65536;
  p.l2CacheSize = 4 << 20;
  p.memoryBusWidth = 256;
  p.maxGridSize[0] = 0x7fffffff;
  p.maxGridSize[1] = p.maxGridSize[2] = 65535;
  p.maxThreadsDim[0] = p.maxThreadsDim[1] = 1024;
  p.maxThreadsDim[2] = 64;
  p.cooperativeLaunch = p.unifiedAddressing = p.managedMemory = p.canMapHostMemory = 1;
  p.concurrentKernels = p.memoryPoolsSupported = p.hostRegisterSupported = 1;
  p.asyncEngineCount = 1;
  return p;
}
// What is not known is 0: not supported.
size_t attribute(cudaDeviceAttr which) {
  const cudaDeviceProp p = properties();
  switch (which) {
    case cudaDevAttrMaxThreadsPerBlock:
      return p.maxThreadsPerBlock;
    case cudaDevAttrMaxBlockDimX:
    case cudaDevAttrMaxBlockDimY:
    case cudaDevAttrMaxBlockDimZ:
      return p.maxThreadsDim[which - cudaDevAttrMaxBlockDimX];
    case cudaDevAttrMaxGridDimX:
    case cudaDevAttrMaxGridDimY:
    case cudaDevAttrMaxGridDimZ:
      return p.maxGridSize[which - cudaDevAttrMaxGridDimX];
    case cudaDevAttrMaxSharedMemoryPerBlock:
      return p.sharedMemPerBlock;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      return p.sharedMemPerBlockOptin;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      return p.sharedMemPerMultiprocessor;
    case cudaDevAttrReservedSharedMemoryPerBlock:
      return p.reservedSharedMemPerBlock;
    case cudaDevAttrTotalConstantMemory:
      return p.totalConstMem;
    case cudaDevAttrWarpSize:
      return p.warpSize;
    case cudaDevAttrMaxRegistersPerBlock:
      return p.regsPerBlock;
    case cudaDevAttrMaxRegistersPerMultiprocessor:
      return p.regsPerMultiprocessor;
    case cudaDevAttrMultiProcessorCount:
      return p.multiProcessorCount;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      return p.maxThreadsPerMultiProcessor;
    case cudaDevAttrMaxBlocksPerMultiprocessor:
      return p.maxBlocksPerMultiProcessor;
    case cudaDevAttrComputeCapabilityMajor:
      return p.major;
    case cudaDevAttrComputeCapabilityMinor:
      return p.minor;
    case cudaDevAttrL2CacheSize:
      return p.l2CacheSize;
    case cudaDevAttrClockRate:
    case cudaDevAttrMemoryClockRate:
      return clock_khz;
    case cudaDevAttrGlobalMemoryBusWidth:
      return p.memoryBusWidth;
    case cudaDevAttrConcurrentKernels:
    case cudaDevAttrUnifiedAddressing:
    case cudaDevAttrManagedMemory:
    case cudaDevAttrCanMapHostMemory:
    case cudaDevAttrMemoryPoolsSupported:
    case cudaDevAttrCooperativeLaunch:
    case cudaDevAttrGlobalL1CacheSupported:
    case cudaDevAttrLocalL1CacheSupported:
    case cudaDevAttrStreamPrioritiesSupported:
      return 1;
    default:
      return 0;
  }
}
size_t& limit(cudaLimit which) {
  static size_t heap = 8 << 20, stack = 1024, printf_buffer = 1 << 20;
  return which == cudaLimitMallocHeapSize ? heap
         : which == cudaLimitStackSize    ? stack
                                          : printf_buffer;
}
}  // namespace

ptx_opts options() {
  ptx_opts o;
  ptx_default_opts(&o);
  return o;
}
int architecture() { return options().arch; }
size_t most_shared_memory() { return shared_memory() - reserved_shared_memory; }
size_t total_memory() {
  const char* megabytes = getenv("PTXRUN_MEMORY_MB");
  return (size_t)(megabytes && *megabytes ? atoll(megabytes) : 16384) << 20;
}
int blocks_per_multiprocessor(size_t shared, int threads) {
  const int by_threads = std::min(most_blocks, most_threads / ((threads + 31) / 32 * 32));
  return std::min(by_threads, (int)(shared_memory() / (shared + reserved_shared_memory)));
}
}  // namespace ptxrun

using namespace ptxrun;
extern "C" {
cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  return device ? result(cudaErrorInvalidDevice) : cudaSuccess;
}
cudaError_t cudaInitDevice(int device, unsigned, unsigned) { return cudaSetDevice(device); }
cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
cudaError_t cudaSetDeviceFlags(unsigned) { return cudaSuccess; }
cudaError_t cudaDeviceReset(void) {
  forget_errors();
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize(void) {
  ApiLock lock;
  return wait_for_device();
}
cudaError_t cudaDeviceSetCacheConfig(cudaFuncCache) { return cudaSuccess; }
cudaError_t cudaDeviceGetStreamPriorityRange(int* low, int* high) {
  *low = 0;
  *high = -5;
  return cudaSuccess;
}
cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) {
  *can = 0;
  return cudaSuccess;
}
cudaError_t cudaDeviceSetLimit(cudaLimit which, size_t value) {
  limit(which) = value;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetLimit(size_t* value, cudaLimit which) {
  *value = limit(which);
  return cudaSuccess;
}
cudaError_t cudaDeviceGetPCIBusId(char* id, int size, int) {
  snprintf(id, size, "0000:00:00.0");
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
  if (device) return result(cudaErrorInvalidDevice);
  *p = properties();
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr which, int device) {
  if (device) return result(cudaErrorInvalidDevice);
  *value = (int)attribute(which);
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaProfilerStart(void) { return cudaSuccess; }
cudaError_t cudaProfilerStop(void) { return cudaSuccess; }
}
