// Memory of the device and pinned memory of the host.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "cudart/runtime.hpp"

struct CUmemPoolHandle_st {
  unsigned long long threshold = 0;
  size_t used = 0, high = 0;
};

namespace ptxrun {
namespace {
enum Place { ON_DEVICE, ON_HOST, MANAGED };
std::map<void*, Place>& places() {
  static auto* map = new std::map<void*, Place>;  // lives until the process ends
  return *map;
}
// Of memory that a known buffer begins with; ON_DEVICE where nothing else is known.
Place place_of(void* base) {
  auto it = places().find(base);
  return it == places().end() ? ON_DEVICE : it->second;
}

CUmemPoolHandle_st default_pool;
CUmemPoolHandle_st* current_pool = &default_pool;

cudaError_t free_buffer(void* p) {
  if (p && !release_buffer(p))
    return complain(cudaErrorInvalidValue, "cudaFree: %p is not a live device buffer", p);
  return result(cudaSuccess);
}
}  // namespace

cudaError_t new_buffer(void** p, size_t bytes) {
  *p = nullptr;
  if (bytes && ptx_live_bytes() + bytes <= total_memory()) *p = ptx_malloc(bytes);
  if (*p) places()[*p] = ON_DEVICE;
  return result(bytes && !*p ? cudaErrorMemoryAllocation : cudaSuccess);
}
bool release_buffer(void* p) {
  auto it = places().find(p);
  if (it == places().end() || it->second == ON_HOST) return false;
  places().erase(it);
  return ptx_free(p) == 0;
}

bool check_range(const void* p, size_t bytes, bool device, const char* what) {
  if (!bytes) return true;
  void* base = nullptr;
  size_t size = 0;
  if (!ptx_find_buffer(p, &base, &size)) {
    if (device) fprintf(stderr, "ptxrun: %s: %p is not device memory\n", what, p);
    return !device;
  }
  if ((char*)base + size < (char*)p + bytes) {
    fprintf(stderr, "ptxrun: %s: %zu bytes at offset %zu run over a buffer of %zu bytes\n", what,
            bytes, (size_t)((char*)p - (char*)base), size);
    return false;
  }
  auto it = places().find(base);
  if (!device && it != places().end() && it->second == ON_DEVICE) {
    fprintf(stderr, "ptxrun: %s: %p is device memory, the call says host memory\n", what, p);
    return false;
  }
  return true;
}
}  // namespace ptxrun

using namespace ptxrun;
extern "C" {
// ---- of the device
cudaError_t cudaMalloc(void** p, size_t bytes) {
  ApiLock lock;
  if (unsafe_in_capture("cudaMalloc")) return result(cudaErrorStreamCaptureUnsupported);
  return new_buffer(p, bytes);
}
cudaError_t cudaFree(void* p) {
  ApiLock lock;
  if (unsafe_in_capture("cudaFree")) return result(cudaErrorStreamCaptureUnsupported);
  return free_buffer(p);
}
cudaError_t cudaMallocManaged(void** p, size_t bytes, unsigned) {
  ApiLock lock;
  cudaError_t error = cudaMalloc(p, bytes);
  if (!error && *p) places()[*p] = MANAGED;
  return error;
}
cudaError_t cudaMallocPitch(void** p, size_t* pitch, size_t width, size_t height) {
  *pitch = (width + 511) / 512 * 512;
  return cudaMalloc(p, *pitch * height);
}
cudaError_t cudaMemGetInfo(size_t* available, size_t* total) {
  *total = total_memory();
  *available = *total - std::min(*total, ptx_live_bytes());
  return cudaSuccess;
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* p) {
  ApiLock lock;
  memset(attributes, 0, sizeof *attributes);
  void* base;
  if (!ptx_find_buffer(p, &base, nullptr)) {
    attributes->type = cudaMemoryTypeUnregistered;
    attributes->hostPointer = (void*)p;
    attributes->device = -2;
    return cudaSuccess;
  }
  const Place place = place_of(base);
  attributes->type = place == ON_DEVICE ? cudaMemoryTypeDevice
                     : place == ON_HOST ? cudaMemoryTypeHost
                                        : cudaMemoryTypeManaged;
  attributes->devicePointer = (void*)p;
  attributes->hostPointer = place == ON_DEVICE ? nullptr : (void*)p;
  return cudaSuccess;
}
cudaError_t cudaMemPrefetchAsync(const void*, size_t, cudaMemLocation, unsigned, cudaStream_t) {
  return cudaSuccess;
}
cudaError_t cudaMemAdvise(const void*, size_t, cudaMemoryAdvise, cudaMemLocation) {
  return cudaSuccess;
}

// ---- of the host
cudaError_t cudaHostAlloc(void** p, size_t bytes, unsigned) {
  ApiLock lock;
  *p = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096 + 4096);
  if (!*p) return result(cudaErrorMemoryAllocation);
  memset(*p, options().poison ? 0xff : 0, bytes);
  ptx_register(*p, bytes, "cudaHostAlloc");
  places()[*p] = ON_HOST;
  return result(cudaSuccess);
}
cudaError_t cudaMallocHost(void** p, size_t bytes) { return cudaHostAlloc(p, bytes, 0); }
cudaError_t cudaFreeHost(void* p) {
  ApiLock lock;
  if (!p) return cudaSuccess;
  auto it = places().find(p);
  if (it == places().end() || it->second != ON_HOST)
    return complain(cudaErrorInvalidValue, "cudaFreeHost: %p is not a live pinned buffer", p);
  places().erase(it);
  ptx_unregister(p);
  free(p);
  return result(cudaSuccess);
}
cudaError_t cudaHostRegister(void* p, size_t bytes, unsigned) {
  ptx_register(p, bytes, "cudaHostRegister");
  return cudaSuccess;
}
cudaError_t cudaHostUnregister(void* p) {
  ptx_unregister(p);
  return cudaSuccess;
}
cudaError_t cudaHostGetDevicePointer(void** device, void* host, unsigned) {
  *device = host;
  return cudaSuccess;
}

// ---- pools, in the order of a stream
cudaError_t cudaMallocFromPoolAsync(void** p, size_t bytes, cudaMemPool_t pool,
                                    cudaStream_t stream) {
  ApiLock lock;
  if (cudaError_t error = new_buffer(p, bytes)) return error;
  give_to_graph(stream, *p);
  pool->used += bytes;
  pool->high = std::max(pool->high, pool->used);
  return cudaSuccess;
}
cudaError_t cudaMallocAsync(void** p, size_t bytes, cudaStream_t stream) {
  return cudaMallocFromPoolAsync(p, bytes, current_pool, stream);
}
cudaError_t cudaFreeAsync(void* p, cudaStream_t stream) {
  ApiLock lock;
  if (is_capturing(stream)) return cudaSuccess;  // freed with the graph
  size_t bytes = 0;
  ptx_find_buffer(p, nullptr, &bytes);
  current_pool->used -= std::min(current_pool->used, bytes);
  return free_buffer(p);
}
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int) {
  *pool = &default_pool;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetMemPool(cudaMemPool_t* pool, int) {
  *pool = current_pool;
  return cudaSuccess;
}
cudaError_t cudaDeviceSetMemPool(int, cudaMemPool_t pool) {
  current_pool = pool;
  return cudaSuccess;
}
cudaError_t cudaMemPoolCreate(cudaMemPool_t* pool, const cudaMemPoolProps*) {
  *pool = new CUmemPoolHandle_st;
  return cudaSuccess;
}
cudaError_t cudaMemPoolDestroy(cudaMemPool_t pool) {
  if (current_pool == pool) current_pool = &default_pool;
  if (pool != &default_pool) delete pool;
  return cudaSuccess;
}
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, size_t) { return cudaSuccess; }
cudaError_t cudaMemPoolSetAccess(cudaMemPool_t, const cudaMemAccessDesc*, size_t) {
  return cudaSuccess;
}
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void* value) {
  if (attribute == cudaMemPoolAttrReleaseThreshold) pool->threshold = *(unsigned long long*)value;
  if (attribute == cudaMemPoolAttrUsedMemHigh) pool->high = pool->used;
  return cudaSuccess;
}
cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void* value) {
  switch (attribute) {
    case cudaMemPoolReuseFollowEventDependencies:
    case cudaMemPoolReuseAllowOpportunistic:
    case cudaMemPoolReuseAllowInternalDependencies:
      *(int*)value = 1;
      break;
    case cudaMemPoolAttrReleaseThreshold:
      *(unsigned long long*)value = pool->threshold;
      break;
    case cudaMemPoolAttrUsedMemHigh:
    case cudaMemPoolAttrReservedMemHigh:
      *(unsigned long long*)value = pool->high;
      break;
    default:
      *(unsigned long long*)value = pool->used;
  }
  return cudaSuccess;
}
}
