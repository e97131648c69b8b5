/// Memory, streams and graphs of a GPU (engine/runtime.hpp), and why there is none. The emulator's
/// are made of the same calls.
#include <cstdint>
#include <cstring>
#include <mutex>
#include <string>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/device_event.cuh"
#include "kernels/cuda/libraries/training.hpp"
#include "kernels/cuda/runtime.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

cudaStream_t native(void* stream) { return static_cast<cudaStream_t>(stream); }

int device_count() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) return count;
  cudaGetLastError();
  int driver = 0, needed = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&needed);
  no_gpu(why_no_gpu(driver, needed,
                    error == cudaSuccess ? "none was found" : cudaGetErrorString(error)));
}

DeviceEvent& event_of(void* event) { return *static_cast<DeviceEvent*>(event); }

cudaDeviceProp properties_of(int index) {
  cudaDeviceProp properties;
  check_call(cudaGetDeviceProperties(&properties, index), "asking a device for its properties");
  return properties;
}

/// What cudaMalloc or cudaMallocHost gives; null where nothing is asked for or too little is there.
void* allocated(cudaError_t (*allocate)(void**, std::size_t), std::size_t bytes, const char* what) {
  if (bytes == 0) return nullptr;
  void* memory = nullptr;
  const cudaError_t error = allocate(&memory, bytes);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return nullptr;
  }
  check_call(error, what);
  return memory;
}

#ifndef PIXELDP_EMULATED
/// 0 where the device does not say.
double attribute(cudaDeviceAttr which, int index) {
  int value = 0;
  if (cudaDeviceGetAttribute(&value, which, index) == cudaSuccess) return value;
  cudaGetLastError();
  return 0.0;
}
#endif

class DeviceRuntime : public Runtime {
 public:
  std::vector<std::string> devices() const override {
    std::vector<std::string> lines;
    const int count = device_count();
    for (int index = 0; index < count; ++index) {
      const cudaDeviceProp p = properties_of(index);
      lines.push_back(std::string(p.name) + ", compute capability " + std::to_string(p.major) +
                      "." + std::to_string(p.minor) + ", " +
                      std::to_string(p.totalGlobalMem >> 20) + " MiB");
    }
    return lines;
  }

  Properties properties(int index) const override {
    if (const int count = device_count(); index >= count) check_gpu(index, count, "", 0);
    const cudaDeviceProp p = properties_of(index);
    Properties found = {.name = p.name,
                        .architecture = 10 * p.major + p.minor,
                        .multiprocessors = p.multiProcessorCount,
                        .shared_per_block = p.sharedMemPerBlockOptin,
                        .shared_per_multiprocessor = p.sharedMemPerMultiprocessor,
                        .registers_per_multiprocessor = p.regsPerMultiprocessor,
                        .threads_per_multiprocessor = p.maxThreadsPerMultiProcessor,
                        .memory_bytes = p.totalGlobalMem,
                        .l2_bytes = static_cast<std::size_t>(p.l2CacheSize)};
#ifndef PIXELDP_EMULATED  // which has neither
    constexpr double khz = 1e3, transfers_per_clock = 2.0, bits_per_byte = 8.0;
    found.clock = khz * attribute(cudaDevAttrClockRate, index);
    found.memory_bandwidth = khz * attribute(cudaDevAttrMemoryClockRate, index) *
                             transfers_per_clock * p.memoryBusWidth / bits_per_byte;
#endif
    return found;
  }

  void use(int index) const override {
    static thread_local int used = -1;
    if (index == used) return;
    const int count = device_count();
    if (index >= count) check_gpu(index, count, "", 0);
    const cudaDeviceProp p = properties_of(index);
    check_gpu(index, count, p.name, 10 * p.major + p.minor);
    check_call(cudaSetDevice(index), "choosing a device");
#ifndef PIXELDP_EMULATED
    // What streams free is kept for what they allocate next.
    cudaMemPool_t pool = nullptr;
    check_call(cudaDeviceGetDefaultMemPool(&pool, index), "asking for the memory pool");
    std::uint64_t keep = ~std::uint64_t{0};
    check_call(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep),
               "setting up the memory pool");
#endif
    used = index;
  }

  void* create_stream() const override {
    cudaStream_t stream = nullptr;
    check_call(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream");
    return stream;
  }
  void destroy_stream(void* stream) const noexcept override {
    cudaStreamSynchronize(native(stream));
#ifndef PIXELDP_EMULATED
    libraries::release(stream);
#endif
    cudaStreamDestroy(native(stream));
  }
  void synchronize(void* stream) const override {
    check_call(cudaStreamSynchronize(native(stream)), "waiting for the kernels");
  }

  Memory memory() const override {
    Memory memory;
    check_call(cudaMemGetInfo(&memory.free, &memory.total), "asking for the size of memory");
    return memory;
  }
  void* allocate(std::size_t bytes) const override {
    const std::lock_guard no_capture(capturing_);
    void* const memory = allocated(cudaMalloc, bytes, "allocating memory");
    if (!memory) return nullptr;
    // In a stream of its own: who waits for the device waits for the work of every other thread.
    void* const stream = create_stream();
    const cudaError_t cleared = cudaMemsetAsync(memory, 0, bytes, native(stream));
    const cudaError_t done = cudaStreamSynchronize(native(stream));
    cudaStreamDestroy(native(stream));
    check_call(cleared, "clearing memory");
    check_call(done, "clearing memory");
    return memory;
  }
  void release(void* memory) const noexcept override {
    const std::lock_guard no_capture(capturing_);
    cudaFree(memory);
  }

  void* allocate_pinned(std::size_t bytes) const override {
    const std::lock_guard no_capture(capturing_);
    void* const memory = allocated(cudaMallocHost, bytes, "allocating pinned memory");
    if (memory) std::memset(memory, 0, bytes);
    return memory;
  }
  void release_pinned(void* memory) const noexcept override {
    const std::lock_guard no_capture(capturing_);
    cudaFreeHost(memory);
  }

  void copy(void* stream, void* to, const void* from, std::size_t bytes,
            Direction direction) const override {
    copy_async(stream, to, from, bytes, direction);
    if (bytes > 0 && direction != Direction::within_device) synchronize(stream);
  }
  void copy_async(void* stream, void* to, const void* from, std::size_t bytes,
                  Direction direction) const override {
    if (bytes == 0) return;
    const cudaMemcpyKind kind = direction == Direction::to_device ? cudaMemcpyHostToDevice
                                : direction == Direction::to_host ? cudaMemcpyDeviceToHost
                                                                  : cudaMemcpyDeviceToDevice;
    check_call(cudaMemcpyAsync(to, from, bytes, kind, native(stream)), "copying memory");
  }
  void zero(void* stream, void* to, std::size_t bytes) const override {
    if (bytes > 0) check_call(cudaMemsetAsync(to, 0, bytes, native(stream)), "clearing memory");
  }

  void begin_capture(void* stream) const override {
    std::unique_lock lock(capturing_);
    check_call(cudaStreamBeginCapture(native(stream), cudaStreamCaptureModeThreadLocal),
               "beginning to record a graph");
    lock.release();
  }
  void* end_capture(void* stream) const override {
    const std::unique_lock lock(capturing_, std::adopt_lock);
    cudaGraph_t graph = nullptr;
    check_call(cudaStreamEndCapture(native(stream), &graph), "recording a graph");
    cudaGraphExec_t launchable = nullptr;
    const cudaError_t error = cudaGraphInstantiate(&launchable, graph, 0);
    cudaGraphDestroy(graph);
    check_call(error, "making a graph of what was recorded");
    return launchable;
  }
  void launch_graph(void* graph, void* stream) const override {
    check_call(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), native(stream)),
               "launching a graph");
  }
  void destroy_graph(void* graph) const noexcept override {
    cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph));
  }

  void* create_event() const override { return new DeviceEvent(); }
  void destroy_event(void* event) const noexcept override { delete &event_of(event); }
  void record_event(void* event, void* stream) const override {
    event_of(event).record(native(stream));
  }
  void wait_for_event(void* event) const override { event_of(event).wait(); }
  void wait_for_event(void* event, void* stream) const override {
    event_of(event).hold(native(stream));
  }
  double seconds_between(void* start, void* end) const override {
    return 1e-3 * static_cast<double>(event_of(end).since(event_of(start)));
  }

 private:
  // Held while a thread captures: what allocates or frees in another may wait for the device, which
  // would spoil the capture. Recursive, for within a capture CUDA itself says what is wrong.
  mutable std::recursive_mutex capturing_;
};

}  // namespace

const Runtime& device_runtime() {
  static const DeviceRuntime runtime;
  return runtime;
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
