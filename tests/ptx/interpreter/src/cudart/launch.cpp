// Launches of kernels, and what can be asked and set of kernels.
#include <cstdio>
#include <cstring>

#include "cudart/runtime.hpp"

namespace ptxrun {
namespace {
struct LaunchConfig {
  dim3 grid, block;
  size_t shared;
  cudaStream_t stream;
};
thread_local vector<LaunchConfig> pushed;

// The error of the runtime for a message of ptx_launch; sticky: the device is lost.
cudaError_t error_of(const string& message, bool& sticky) {
  auto says = [&](const char* words) { return message.find(words) != string::npos; };
  auto starts = [&](const char* words) { return message.rfind(words, 0) == 0; };
  sticky = false;
  if (says("not launchable") || says("launch bounds") || says("shared memory of") ||
      says("of shared memory are"))
    return cudaErrorInvalidConfiguration;
  sticky = true;
  return starts("misaligned")      ? cudaErrorMisalignedAddress
         : starts("device assert") ? cudaErrorAssert
         : starts("invalid")       ? cudaErrorIllegalAddress
                                   : cudaErrorLaunchFailure;
}

cudaError_t launch(const void* function, dim3 grid, dim3 block, void** arguments, size_t shared,
                   cudaStream_t stream, bool cooperative = false, dim3 cluster = {0, 0, 0}) {
  ApiLock lock;
  KernelCall call;
  call.host_function = function;
  call.grid = grid;
  call.block = block;
  call.shared = shared;
  call.cooperative = cooperative;
  call.cluster = cluster;
  if (cudaError_t error = set_arguments(call, arguments)) return error;
  return enqueue(stream, Work(std::move(call)));
}
}  // namespace

cudaError_t set_arguments(KernelCall& call, void** arguments) {
  Kernel* kernel = call.kernel = find_kernel(call.host_function);
  if (!kernel) return result(cudaErrorInvalidDeviceFunction);
  ptx_module* module = kernel->load();
  const char* name = kernel->name.c_str();
  const int params = ptx_nparams(module, name);
  if (params < 0) return complain(cudaErrorInvalidDeviceFunction, "no kernel %s", name);
  const dim3 grid = call.grid, block = call.block;
  const unsigned long long threads = 1ull * block.x * block.y * block.z;
  if (!grid.x || !grid.y || !grid.z || grid.y > 65535 || grid.z > 65535 || !threads ||
      threads > 1024 || block.z > 64)
    return complain(cudaErrorInvalidConfiguration,
                    "kernel %s: grid %ux%ux%u of blocks %ux%ux%u is not launchable", name, grid.x,
                    grid.y, grid.z, block.x, block.y, block.z);
  if (call.shared > kernel->max_dynamic)
    return complain(cudaErrorInvalidValue,
                    "kernel %s: %zu bytes of dynamic shared memory, allowed %zu (see "
                    "cudaFuncSetAttribute)",
                    name, call.shared, kernel->max_dynamic);
  call.values.clear();
  for (int i = 0; i < params; i++) {
    const char* value = (const char*)arguments[i];
    call.values.emplace_back(value, value + ptx_param_size(module, name, i));
  }
  return cudaSuccess;
}

cudaError_t run_kernel(const KernelCall& call) {
  const Kernel& kernel = *call.kernel;
  ptx_opts o = options();
  o.cooperative = call.cooperative;
  o.cluster[0] = call.cluster.x, o.cluster[1] = call.cluster.y, o.cluster[2] = call.cluster.z;
  const unsigned grid[3] = {call.grid.x, call.grid.y, call.grid.z};
  const unsigned block[3] = {call.block.x, call.block.y, call.block.z};
  vector<void*> arguments;
  for (auto& value : call.values) arguments.push_back((void*)value.data());
  ptx_stats stats;
  if (ptx_launch(kernel.load(), kernel.name.c_str(), grid, block, call.shared, arguments.data(), &o,
                 &stats)) {
    fflush(stdout);
    fprintf(stderr, "ptxrun: %s\n", ptx_error());
    bool sticky;
    cudaError_t error = error_of(ptx_error(), sticky);
    if (sticky) set_sticky(error);
    return error;
  }
  if (stats.races) {
    fprintf(stderr, "ptxrun: %llu shared-memory races in kernel %s\n",
            (unsigned long long)stats.races, kernel.name.c_str());
    set_sticky(cudaErrorLaunchFailure);
    return cudaErrorLaunchFailure;
  }
  return cudaSuccess;
}
}  // namespace ptxrun

using namespace ptxrun;
extern "C" {
// ---- launches, and the calls of f<<<...>>>
unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, cudaStream_t stream) {
  pushed.push_back({grid, block, shared, stream});
  return 0;
}
cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, void* stream) {
  if (pushed.empty()) return result(cudaErrorMissingConfiguration);
  LaunchConfig config = pushed.back();
  pushed.pop_back();
  *grid = config.grid;
  *block = config.block;
  *shared = config.shared;
  *(cudaStream_t*)stream = config.stream;
  return cudaSuccess;
}
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments,
                               size_t shared, cudaStream_t stream) {
  return launch((const void*)kernel, grid, block, arguments, shared, stream);
}
cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments,
                             size_t shared, cudaStream_t stream) {
  return launch(function, grid, block, arguments, shared, stream);
}
cudaError_t cudaLaunchCooperativeKernel(const void* function, dim3 grid, dim3 block,
                                        void** arguments, size_t shared, cudaStream_t stream) {
  return launch(function, grid, block, arguments, shared, stream, true);
}
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function,
                                void** arguments) {
  bool cooperative = false;
  dim3 cluster = {0, 0, 0};
  for (unsigned i = 0; i < config->numAttrs; i++) {
    const auto& attribute = config->attrs[i];
    const auto& size = attribute.val.clusterDim;
    if (attribute.id == cudaLaunchAttributeCooperative) cooperative = attribute.val.cooperative;
    if (attribute.id == cudaLaunchAttributeClusterDimension) cluster = {size.x, size.y, size.z};
  }
  return launch(function, config->gridDim, config->blockDim, arguments, config->dynamicSmemBytes,
                config->stream, cooperative, cluster);
}

// ---- of kernels
cudaError_t cudaFuncGetName(const char** name, const void* function) {
  Kernel* kernel = find_kernel(function);
  if (!kernel) return result(cudaErrorInvalidDeviceFunction);
  *name = kernel->name.c_str();
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  ApiLock lock;
  Kernel* kernel = find_kernel(function);
  if (!kernel) return result(cudaErrorInvalidDeviceFunction);
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
  const int fixed = kernel->static_shared();
  if (value < 0 || (size_t)value + fixed > most_shared_memory())
    return complain(cudaErrorInvalidValue,
                    "kernel %s: %d bytes of dynamic and %d of static shared memory exceed the "
                    "%zu of a block",
                    kernel->name.c_str(), value, fixed, most_shared_memory());
  kernel->max_dynamic = value;
  return cudaSuccess;
}
cudaError_t cudaFuncSetCacheConfig(const void*, cudaFuncCache) { return cudaSuccess; }
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* function) {
  ApiLock lock;
  Kernel* kernel = find_kernel(function);
  if (!kernel) return result(cudaErrorInvalidDeviceFunction);
  memset(attributes, 0, sizeof *attributes);
  attributes->sharedSizeBytes = kernel->static_shared();
  attributes->localSizeBytes = ptx_local_bytes(kernel->load(), kernel->name.c_str());
  attributes->maxThreadsPerBlock = 1024;
  attributes->numRegs = 32;  // registers are the business of ptxas: unknown here
  attributes->ptxVersion = attributes->binaryVersion = architecture();
  attributes->maxDynamicSharedSizeBytes = (int)kernel->max_dynamic;
  return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* function,
                                                          int threads, size_t dynamic) {
  ApiLock lock;
  Kernel* kernel = find_kernel(function);
  *blocks = 0;
  if (kernel && threads > 0 && threads <= 1024 && dynamic <= kernel->max_dynamic)
    *blocks = blocks_per_multiprocessor(kernel->static_shared() + dynamic, threads);
  return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks,
                                                                   const void* function,
                                                                   int threads, size_t dynamic,
                                                                   unsigned) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, function, threads, dynamic);
}
}
