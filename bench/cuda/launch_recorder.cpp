#include "bench/cuda/launch_recorder.hpp"

#include <cstdint>
#include <map>
#include <utility>

#include <cuda.h>
#include <cuda_runtime.h>

#include "kernels/arch.hpp"

namespace pixeldp::bench {
namespace {

/// What the objects that nvcc made register before main(), so not a plain global.
std::map<const void*, std::string>& symbols() {
  static std::map<const void*, std::string> map;
  return map;
}

std::vector<RecordedLaunch> launches;
std::uintptr_t next_address = std::uintptr_t{1} << 32;

}  // namespace

std::vector<RecordedLaunch> take_launches() { return std::exchange(launches, {}); }
bool recording() { return !symbols().empty(); }

}  // namespace pixeldp::bench

using namespace pixeldp::bench;

extern "C" {

// How nvcc's objects make their kernels known (crt/host_runtime.h).

void** __cudaRegisterFatBinary(void*) {
  static void* handle = nullptr;
  return &handle;
}
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
void __cudaRegisterFunction(void**, const char* host_function, char*, const char* symbol, int,
                            uint3*, uint3*, dim3*, dim3*, int*) {
  symbols()[host_function] = symbol;
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function, void**) {
  const auto known = symbols().find(function);
  if (known == symbols().end()) return cudaErrorInvalidDeviceFunction;
  const dim3 grid = config->gridDim, block = config->blockDim;
  launches.push_back({known->second,
                      {grid.x, grid.y, grid.z},
                      {block.x, block.y, block.z},
                      config->dynamicSmemBytes});
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int) { return cudaSuccess; }

cudaError_t cudaMalloc(void** address, std::size_t bytes) {
  *address = reinterpret_cast<void*>(next_address);
  next_address += (bytes + 255) / 256 * 256;
  return cudaSuccess;
}
cudaError_t cudaMallocAsync(void** address, std::size_t bytes, cudaStream_t) {
  return cudaMalloc(address, bytes);
}
cudaError_t cudaFree(void*) { return cudaSuccess; }
cudaError_t cudaFreeAsync(void*, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaMemcpy(void*, const void*, std::size_t, cudaMemcpyKind) { return cudaSuccess; }
cudaError_t cudaMemcpyAsync(void*, const void*, std::size_t, cudaMemcpyKind, cudaStream_t) {
  return cudaSuccess;
}
cudaError_t cudaMemset(void*, int, std::size_t) { return cudaSuccess; }
cudaError_t cudaMemsetAsync(void*, int, std::size_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  *free = *total = 0;
  return cudaSuccess;
}
cudaError_t cudaGetLastError() { return cudaSuccess; }

// Tensor maps: what is copied is not of interest.
namespace {
CUresult encode_nothing(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*,
                        const cuuint64_t*, const cuuint32_t*, const cuuint32_t*,
                        CUtensorMapInterleave, CUtensorMapSwizzle, CUtensorMapL2promotion,
                        CUtensorMapFloatOOBfill) {
  return CUDA_SUCCESS;
}
}  // namespace
cudaError_t cudaGetDriverEntryPointByVersion(const char*, void** function, unsigned,
                                             unsigned long long,
                                             cudaDriverEntryPointQueryResult* found) {
  *function = reinterpret_cast<void*>(&encode_nothing);
  *found = cudaDriverEntryPointSuccess;
  return cudaSuccess;
}

// One device, an A100.
cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int) { return cudaSuccess; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {};
  constexpr pixeldp::kernels::Arch arch = pixeldp::kernels::sm_80;
  properties->major = arch.capability / 10;
  properties->minor = arch.capability % 10;
  properties->multiProcessorCount = arch.multiprocessors;
  properties->sharedMemPerBlockOptin = arch.shared_per_block;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int) {
  *pool = nullptr;
  return cudaSuccess;
}
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) { return cudaSuccess; }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = nullptr;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }

}  // extern "C"
