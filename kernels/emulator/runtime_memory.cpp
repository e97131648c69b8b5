#include <cstring>
#include <memory>

#include "engine/error.hpp"
#include "kernels/emulator/memory.hpp"
#include "kernels/emulator/runtime_state.hpp"

namespace pixeldp::emulator {

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  const std::size_t used = device_memory().live_bytes();
  *total = settings().memory;
  *free = used < *total ? *total - used : 0;
  return cudaSuccess;
}

namespace {

cudaError_t allocate(void** address, std::size_t bytes, const char* what) {
  if (bytes == 0) return cudaSuccess;
  if (std::size_t free = 0, total = 0;
      cudaMemGetInfo(&free, &total) == cudaSuccess && bytes <= free)
    *address = device_memory().allocate(bytes);
  return *address != nullptr ? cudaSuccess
                             : error(cudaErrorMemoryAllocation, "{} of {} bytes", what, bytes);
}

}  // namespace

cudaError_t cudaMalloc(void** address, std::size_t bytes) {
  const std::lock_guard lock(runtime().mutex);
  *address = nullptr;
  if (const cudaError_t refused = refuse_any_capture("cudaMalloc")) return refused;
  ++runtime().tally.allocations;
  return allocate(address, bytes, "cudaMalloc");
}

cudaError_t cudaFree(void* address) {
  const std::lock_guard lock(runtime().mutex);
  if (const cudaError_t refused = refuse_any_capture("cudaFree")) return refused;
  if (address == nullptr) return cudaSuccess;
  const cudaError_t finished = finish_quietly("cudaFree");
  const std::string text = device_memory().release(address);
  return text.empty() ? finished : error(cudaErrorInvalidValue, "cudaFree: {}", text);
}

cudaError_t cudaMallocAsync(void** address, std::size_t bytes, cudaStream_t handle) {
  const std::lock_guard lock(runtime().mutex);
  const auto stream = runtime().find(handle);
  if (stream == nullptr) return bad_handle("cudaMallocAsync");
  ++runtime().tally.stream_allocations;
  *address = nullptr;
  if (stream->capture == nullptr) {
    if (const cudaError_t refused = refuse_any_capture("cudaMallocAsync")) return refused;
    return allocate(address, bytes, "cudaMallocAsync");
  }
  if (bytes == 0) return cudaSuccess;
  // Memory of a graph has one address for all launches, and its contents do not outlast one.
  *address = device_memory().allocate(bytes);
  if (*address == nullptr)
    return error(cudaErrorMemoryAllocation, "cudaMallocAsync of {} bytes", bytes);
  const std::shared_ptr<void> memory(*address, [](void* a) { device_memory().release(a); });
  stream->capture->memory.emplace(*address, bytes);
  return enqueue(handle, "cudaMallocAsync",
                 [memory, bytes] { std::memset(memory.get(), 0xff, bytes); });
}

cudaError_t cudaFreeAsync(void* address, cudaStream_t handle) {
  const std::lock_guard lock(runtime().mutex);
  if (address == nullptr) return cudaSuccess;
  // Of a graph's own memory only the contents go, so that a later use shows; the rest cannot be
  // captured.
  if (const auto stream = runtime().find(handle); stream != nullptr && stream->capture != nullptr) {
    if (const auto own = stream->capture->memory.extract(address); !own.empty()) {
      return enqueue(handle, "cudaFreeAsync",
                     [address, bytes = own.mapped()] { std::memset(address, 0xff, bytes); });
    }
  }
  if (const cudaError_t refused = refuse_capture("cudaFreeAsync")) return refused;
  return enqueue(handle, "cudaFreeAsync", [address] {
    if (const std::string text = device_memory().release(address); !text.empty())
      fail("cudaFreeAsync: {}", text);
  });
}

cudaError_t cudaMallocHost(void** address, std::size_t bytes) {
  const std::lock_guard lock(runtime().mutex);
  ++runtime().tally.allocations;
  *address = bytes == 0 ? nullptr : host_memory().allocate(bytes);
  return *address != nullptr || bytes == 0
             ? cudaSuccess
             : error(cudaErrorMemoryAllocation, "cudaMallocHost of {} bytes", bytes);
}

cudaError_t cudaFreeHost(void* address) {
  const std::lock_guard lock(runtime().mutex);
  if (address == nullptr) return cudaSuccess;
  const cudaError_t finished = finish_quietly("cudaFreeHost");
  const std::string text = host_memory().release(address);
  return text.empty() ? finished : error(cudaErrorInvalidValue, "cudaFreeHost: {}", text);
}

namespace {

cudaError_t check_side(const char* what, const char* role, const void* address, std::size_t bytes,
                       bool device) {
  if (device && !device_memory().contains(address, bytes))
    return error(cudaErrorInvalidValue, "{}: {} is {}", what, role,
                 device_memory().describe(address, bytes));
  if (!device && device_memory().owns(address))
    return error(cudaErrorInvalidMemcpyDirection, "{}: {} should be host memory, but is {}", what,
                 role, device_memory().describe(address, bytes));
  return cudaSuccess;
}

cudaError_t check_copy(const char* what, void* target, const void* source, std::size_t bytes,
                       cudaMemcpyKind kind) {
  const bool to_device = kind == cudaMemcpyDefault
                             ? device_memory().owns(target)
                             : kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDefault
                               ? device_memory().owns(source)
                               : kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (const cudaError_t bad = check_side(what, "the target", target, bytes, to_device)) return bad;
  return check_side(what, "the source", source, bytes, from_device);
}

}  // namespace

cudaError_t cudaMemcpyAsync(void* target, const void* source, std::size_t bytes,
                            cudaMemcpyKind kind, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  if (const cudaError_t bad = check_copy("cudaMemcpyAsync", target, source, bytes, kind))
    return bad;
  const std::lock_guard lock(runtime().mutex);
  if (device_memory().owns(target) != device_memory().owns(source)) ++runtime().tally.copies;
  return enqueue(stream, "cudaMemcpyAsync", [=] { std::memmove(target, source, bytes); });
}

cudaError_t cudaMemcpy(void* target, const void* source, std::size_t bytes, cudaMemcpyKind kind) {
  const std::lock_guard lock(runtime().mutex);
  if (const cudaError_t refused = refuse_capture("cudaMemcpy")) return refused;
  if (const cudaError_t bad = cudaMemcpyAsync(target, source, bytes, kind)) return bad;
  return cudaStreamSynchronize(nullptr);
}

cudaError_t cudaMemsetAsync(void* target, int value, std::size_t bytes, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  if (const cudaError_t bad = check_side("cudaMemsetAsync", "the target", target, bytes, true))
    return bad;
  return enqueue(stream, "cudaMemsetAsync", [=] { std::memset(target, value, bytes); });
}

cudaError_t cudaMemset(void* target, int value, std::size_t bytes) {
  const std::lock_guard lock(runtime().mutex);
  if (const cudaError_t refused = refuse_capture("cudaMemset")) return refused;
  if (const cudaError_t bad = cudaMemsetAsync(target, value, bytes)) return bad;
  return cudaStreamSynchronize(nullptr);
}

}  // namespace pixeldp::emulator
