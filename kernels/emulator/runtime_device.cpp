#include <algorithm>

#include "kernels/emulator/block.hpp"
#include "kernels/emulator/runtime_state.hpp"
#include "kernels/emulator/settings.hpp"

// What the runtime says of the one device.
namespace pixeldp::emulator {

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  return device == 0 ? cudaSuccess : error(cudaErrorInvalidDevice, "there is only device 0");
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  if (device != 0) return error(cudaErrorInvalidDevice, "there is only device 0");
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
      *value = Block::max_threads;
      return cudaSuccess;
    case cudaDevAttrWarpSize:
      *value = Block::warp_lanes;
      return cudaSuccess;
    case cudaDevAttrMultiProcessorCount:
      *value = settings().arch.multiprocessors;
      return cudaSuccess;
    case cudaDevAttrL2CacheSize:
      *value = static_cast<int>(settings().arch.l2_bytes);
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
      *value = settings().arch.capability / 10;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
      *value = settings().arch.capability % 10;
      return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(settings().arch.shared_per_block);
      return cudaSuccess;
  }
  return error(cudaErrorInvalidValue, "the emulator has no device attribute {}",
               static_cast<int>(attribute));
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device != 0) return error(cudaErrorInvalidDevice, "there is only device 0");
  *properties = {};
  const kernels::Arch& arch = settings().arch;
  const std::string name = "emulated " + arch.name();
  std::copy(name.begin(), name.end(), properties->name);
  properties->totalGlobalMem = settings().memory;
  properties->sharedMemPerBlockOptin = arch.shared_per_block;
  properties->sharedMemPerMultiprocessor = arch.shared_per_multiprocessor;
  properties->major = arch.capability / 10;
  properties->minor = arch.capability % 10;
  properties->regsPerMultiprocessor = arch.registers_per_multiprocessor;
  properties->maxThreadsPerMultiProcessor = arch.threads_per_multiprocessor;
  properties->warpSize = Block::warp_lanes;
  properties->maxThreadsPerBlock = Block::max_threads;
  properties->l2CacheSize = static_cast<int>(arch.l2_bytes);
  properties->multiProcessorCount = arch.multiprocessors;
  return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) { return cudaDriverGetVersion(version); }

}  // namespace pixeldp::emulator
