#include "kernels/emulator/runtime.hpp"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/launch.cuh"
#include "kernels/emulator/memory.hpp"
#include "kernels/emulator/work_tally.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp::kernels::emulated {
namespace {

__global__ void add_kernel(int* y, int amount) { atomicAdd(y, amount); }
__global__ void double_kernel(int* y) { *y *= 2; }

class DeviceStream {
 public:
  DeviceStream() { cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking); }
  ~DeviceStream() { cudaStreamDestroy(stream_); }
  DeviceStream(const DeviceStream&) = delete;
  DeviceStream& operator=(const DeviceStream&) = delete;
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

Settings delayed(bool delay) {
  Settings changed = settings();
  changed.delay_streams = delay;
  return changed;
}

TEST_CASE("a stream keeps its order, and delayed work is done when it is waited for") {
  for (const bool delay : {false, true}) {
    const WithSettings with(delayed(delay));
    const DeviceArray<int> y(std::vector<int>{3});
    const DeviceStream stream;
    int result = 0;
    launch<double_kernel>(1, 1, 0, stream, y.data());
    launch<add_kernel>(1, 1, 0, stream, y.data(), 5);
    CHECK(cudaMemcpyAsync(&result, y.data(), 4, cudaMemcpyDeviceToHost, stream) == cudaSuccess);
    launch<double_kernel>(1, 1, 0, stream, y.data());
    CHECK(result == (delay ? 0 : 11));  // whoever reads now forgot to wait
    CHECK(cudaStreamQuery(stream) == (delay ? cudaErrorNotReady : cudaSuccess));
    CHECK(cudaStreamSynchronize(stream) == cudaSuccess);
    CHECK(result == 11);
    CHECK(cudaStreamQuery(stream) == cudaSuccess);
    CHECK(y.values()[0] == 22);
  }
}

TEST_CASE("streams wait for each other by events only") {
  for (const bool waits : {false, true}) {
    const WithSettings with(delayed(true));
    const DeviceArray<int> y(std::vector<int>{3});
    const DeviceStream first, second;
    cudaEvent_t added = nullptr;
    CHECK(cudaEventCreateWithFlags(&added, cudaEventDisableTiming) == cudaSuccess);
    launch<add_kernel>(1, 1, 0, first, y.data(), 4);
    CHECK(cudaEventRecord(added, first) == cudaSuccess);
    launch<add_kernel>(1, 1, 0, first, y.data(), 100);
    if (waits) CHECK(cudaStreamWaitEvent(second, added) == cudaSuccess);
    launch<double_kernel>(1, 1, 0, second, y.data());
    CHECK(cudaEventQuery(added) == cudaErrorNotReady);
    CHECK(cudaStreamSynchronize(second) == cudaSuccess);
    CHECK(cudaEventQuery(added) == (waits ? cudaSuccess : cudaErrorNotReady));
    CHECK(cudaStreamSynchronize(first) == cudaSuccess);
    CHECK(y.values()[0] == (waits ? 114 : 110));
    CHECK(cudaEventDestroy(added) == cudaSuccess);
    CHECK(cudaEventDestroy(added) == cudaErrorInvalidResourceHandle);
  }
}

TEST_CASE("events measure time") {
  cudaEvent_t start = nullptr, end = nullptr;
  cudaEventCreate(&start);
  cudaEventCreate(&end);
  float milliseconds = -1.0f;
  CHECK(cudaEventElapsedTime(&milliseconds, start, end) == cudaErrorInvalidResourceHandle);
  cudaEventRecord(start);
  cudaEventRecord(end);
  CHECK(cudaEventSynchronize(end) == cudaSuccess);
  CHECK(cudaEventElapsedTime(&milliseconds, start, end) == cudaSuccess);
  CHECK(milliseconds >= 0.0f);
  cudaEventDestroy(start);
  cudaEventDestroy(end);
}

TEST_CASE("a graph repeats what was recorded, with the arguments of then") {
  for (const bool delay : {false, true}) {
    const WithSettings with(delayed(delay));
    const DeviceArray<int> y(std::vector<int>{1});
    const DeviceStream stream;
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t exec = nullptr;
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal) == cudaSuccess);
    int amount = 3;
    launch<add_kernel>(1, 1, 0, stream, y.data(), amount);
    amount = 1000;
    launch<double_kernel>(1, 1, 0, stream, y.data());
    CHECK(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
    CHECK(y.values()[0] == 1);  // nothing was done
    CHECK(cudaGraphInstantiate(&exec, graph) == cudaSuccess);
    CHECK(cudaGraphDestroy(graph) == cudaSuccess);
    for (int i = 0; i < 3; ++i) CHECK(cudaGraphLaunch(exec, stream) == cudaSuccess);
    CHECK(cudaGraphExecDestroy(exec) == cudaSuccess);
    CHECK(cudaGraphLaunch(exec, stream) == cudaErrorInvalidResourceHandle);
    CHECK(y.values()[0] == 8 + 42);  // 1 -> 8 -> 22 -> 50
  }
}

TEST_CASE("a graph's event is recorded by every launch, and has no more of it done") {
  const WithSettings with(delayed(true));
  const DeviceArray<int> x(std::vector<int>{1}), y(std::vector<int>{1}), z(1);
  const DeviceStream stream, other;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  cudaEvent_t event = nullptr;
  REQUIRE(cudaEventCreate(&event) == cudaSuccess);
  CHECK(cudaEventRecordWithFlags(event, stream, cudaEventRecordExternal) == cudaErrorInvalidValue);
  REQUIRE(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  CHECK(cudaStreamIsCapturing(stream, &status) == cudaSuccess);
  CHECK(status == cudaStreamCaptureStatusActive);
  CHECK(cudaStreamIsCapturing(other, &status) == cudaSuccess);
  CHECK(status == cudaStreamCaptureStatusNone);
  launch<double_kernel>(1, 1, 0, stream, x.data());
  CHECK(cudaEventRecordWithFlags(event, stream, cudaEventRecordExternal) == cudaSuccess);
  launch<double_kernel>(1, 1, 0, stream, y.data());
  REQUIRE(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
  REQUIRE(cudaGraphInstantiate(&exec, graph) == cudaSuccess);
  for (const int launches : {1, 2}) {
    const int times = 1 << launches;
    REQUIRE(cudaGraphLaunch(exec, stream) == cudaSuccess);
    REQUIRE(cudaStreamWaitEvent(other, event, 0) == cudaSuccess);
    // What lies behind the event, nobody waits for.
    REQUIRE(cudaMemcpyAsync(z.data(), x.data(), 4, cudaMemcpyDeviceToDevice, other) == cudaSuccess);
    int seen[2] = {};
    REQUIRE(cudaMemcpyAsync(seen, z.data(), 4, cudaMemcpyDeviceToHost, other) == cudaSuccess);
    REQUIRE(cudaMemcpyAsync(seen + 1, y.data(), 4, cudaMemcpyDeviceToHost, other) == cudaSuccess);
    REQUIRE(cudaStreamSynchronize(other) == cudaSuccess);
    CHECK(seen[0] == times);
    CHECK(seen[1] == times / 2);
  }
  REQUIRE(cudaStreamSynchronize(stream) == cudaSuccess);
  REQUIRE(cudaEventDestroy(event) == cudaSuccess);
  CHECK(cudaGraphLaunch(exec, stream) == cudaErrorInvalidResourceHandle);
  CHECK(cudaGraphExecDestroy(exec) == cudaSuccess);
  CHECK(cudaGraphDestroy(graph) == cudaSuccess);
}

TEST_CASE("a graph has memory of its own, for as long as it lives") {
  for (const bool delay : {false, true}) {
    const WithSettings with(delayed(delay));
    const std::size_t before = device_memory().live_allocations();
    const DeviceArray<int> y(std::vector<int>{1});
    const DeviceStream stream;
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t exec = nullptr;
    int *scratch = nullptr, *none = y.data();
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal) == cudaSuccess);
    CHECK(cudaMallocAsync(&none, 0, stream) == cudaSuccess);
    CHECK(none == nullptr);
    CHECK(cudaMallocAsync(&scratch, 4, stream) == cudaSuccess);
    launch<add_kernel>(1, 1, 0, stream, scratch, 6);  // to undefined contents: -1
    const auto copy = [&] {
      return cudaMemcpyAsync(y.data(), scratch, 4, cudaMemcpyDeviceToDevice, stream);
    };
    CHECK(copy() == cudaSuccess);
    launch<double_kernel>(1, 1, 0, stream, y.data());
    CHECK(cudaFreeAsync(scratch, stream) == cudaSuccess);
    CHECK(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
    CHECK(cudaGraphInstantiate(&exec, graph) == cudaSuccess);
    CHECK(cudaGraphDestroy(graph) == cudaSuccess);
    for (int i = 0; i < 2; ++i) {
      CHECK(cudaGraphLaunch(exec, stream) == cudaSuccess);
      CHECK(y.values()[0] == 10);
    }
    CHECK(copy() == cudaSuccess);  // what was freed has no contents
    CHECK(y.values()[0] == -1);
    CHECK(device_memory().live_allocations() == before + 2);
    CHECK(cudaGraphExecDestroy(exec) == cudaSuccess);
    CHECK(device_memory().live_allocations() == before + 1);
  }
}

TEST_CASE("what cannot be recorded spoils the graph") {
  const DeviceStream stream;
  const auto spoilt_by = [&](auto&& call) {
    cudaGraph_t graph = nullptr;
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal) == cudaSuccess);
    CHECK(call() == cudaErrorStreamCaptureUnsupported);
    CHECK(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureUnsupported);
    CHECK(graph == nullptr);
  };
  int value = 0;
  void* p = nullptr;
  spoilt_by([&] { return cudaStreamSynchronize(stream); });
  spoilt_by([&] { return cudaDeviceSynchronize(); });
  spoilt_by([&] { return cudaMalloc(&p, 8); });
  const DeviceArray<int> foreign(1);
  spoilt_by([&] { return cudaFreeAsync(foreign.data(), stream); });
  spoilt_by([&] { return cudaMemcpy(&value, &value, 4, cudaMemcpyHostToHost); });
  CHECK(std::string(cudaGetErrorString(cudaGetLastError())).find("EndCapture") !=
        std::string::npos);
  cudaGraph_t graph = nullptr;
  CHECK(cudaStreamEndCapture(stream, &graph) == cudaErrorIllegalState);
  CHECK(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal) ==
        cudaErrorInvalidResourceHandle);
  cudaGetLastError();
}

TEST_CASE("what the device is asked for, and what it does, is counted") {
  const WithSettings with(delayed(true));
  const DeviceArray<int> y(std::vector<int>{1});
  const DeviceStream stream;
  int result = 0;
  reset_work_tally();
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  cudaEvent_t event = nullptr;
  void *scratch = nullptr, *memory = nullptr;
  cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
  launch<add_kernel>(1, 1, 0, stream, y.data(), 3);
  launch<double_kernel>(1, 1, 0, stream, y.data());
  cudaStreamEndCapture(stream, &graph);
  cudaGraphInstantiate(&exec, graph);
  cudaGraphDestroy(graph);
  for (int i = 0; i < 2; ++i) cudaGraphLaunch(exec, stream);
  cudaMallocAsync(&scratch, 8, stream);
  cudaFreeAsync(scratch, stream);
  cudaMemcpyAsync(&result, y.data(), 4, cudaMemcpyDeviceToHost, stream);
  cudaMemcpyAsync(y.data(), y.data(), 4, cudaMemcpyDeviceToDevice, stream);
  cudaEventCreate(&event);
  cudaEventRecord(event, stream);
  WorkTally tally = work_tally();
  CHECK(tally.launches == 2);
  CHECK(tally.graph_launches == 2);
  CHECK(tally.stream_allocations == 1);
  CHECK(tally.copies == 1);
  CHECK(tally.kernels.empty());  // nothing is done yet
  CHECK(tally.waits + tally.event_waits + tally.allocations == 0);
  cudaEventSynchronize(event);
  tally = work_tally();
  CHECK(tally.event_waits == 1);
  CHECK(tally.waits == 0);
  CHECK(tally.ran("add_kernel") == 2);
  CHECK(tally.ran("double") == 2);
  CHECK(tally.ran("triple") == 0);
  cudaStreamSynchronize(stream);
  cudaMalloc(&memory, 8);
  cudaFree(memory);
  tally = work_tally();
  CHECK(tally.waits == 2);  // what frees waits
  CHECK(tally.allocations == 1);
  CHECK(result == 22);
  cudaEventDestroy(event);
  cudaGraphExecDestroy(exec);
  reset_work_tally();
  CHECK(work_tally().launches == 0);
}

TEST_CASE("copies are checked against what is allocated") {
  const DeviceArray<int> y(4);
  int host[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  CHECK(cudaMemcpy(y.data(), host, 16, cudaMemcpyHostToDevice) == cudaSuccess);
  CHECK(cudaMemcpy(host + 4, y.data(), 16, cudaMemcpyDefault) == cudaSuccess);
  CHECK(host[7] == 4);
  CHECK(cudaMemset(y.data() + 1, 0, 8) == cudaSuccess);
  CHECK(y.values() == std::vector<int>{1, 0, 0, 4});
  CHECK(cudaMemcpy(y.data(), host, 17, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  const std::string text = cudaGetErrorString(cudaErrorInvalidValue);
  CHECK(text.starts_with("invalid argument: cudaMemcpyAsync: the target is 17 bytes at offset 0 "));
  CHECK(text.ends_with(" of 16 bytes of device memory"));
  CHECK(cudaMemcpy(y.data(), host, 16, cudaMemcpyDeviceToHost) == cudaErrorInvalidMemcpyDirection);
  CHECK(cudaMemcpy(host, host + 4, 16, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
  CHECK(cudaMemset(host, 0, 4) == cudaErrorInvalidValue);
  CHECK(cudaMemset(y.data() + 1, 0, 16) == cudaErrorInvalidValue);
  cudaGetLastError();
}

TEST_CASE("memory freed in a stream lives until its turn") {
  const WithSettings with(delayed(true));
  const DeviceStream stream;
  int* p = nullptr;
  int result = 0;
  CHECK(cudaMallocAsync(&p, 4, stream) == cudaSuccess);
  CHECK(cudaMemsetAsync(p, 1, 4, stream) == cudaSuccess);
  CHECK(cudaMemcpyAsync(&result, p, 4, cudaMemcpyDeviceToHost, stream) == cudaSuccess);
  CHECK(cudaFreeAsync(p, stream) == cudaSuccess);
  CHECK(device_memory().contains(p, 4));
  CHECK(cudaStreamSynchronize(stream) == cudaSuccess);
  CHECK_FALSE(device_memory().contains(p, 4));
  CHECK(result == 0x01010101);
  CHECK(cudaFreeAsync(p, stream) == cudaSuccess);
  CHECK_FAILS(cudaStreamSynchronize(stream), "cudaFreeAsync: it is not live device memory");
}

__global__ void failing_kernel() { __trap(); }

TEST_CASE("a failure of delayed work is thrown by whoever waits, and never by a free") {
  const WithSettings with(delayed(true));
  int* p = nullptr;
  const DeviceStream stream;
  CHECK_NOTHROW(launch<failing_kernel>(1, 1, 0, stream));
  CHECK_FAILS(cudaStreamSynchronize(stream), "thread (0,0,0): __trap");
  CHECK(cudaStreamSynchronize(stream) == cudaSuccess);
  CHECK(cudaMalloc(&p, 4) == cudaSuccess);
  CHECK_NOTHROW(launch<failing_kernel>(1, 1, 0, stream));
  CHECK(cudaFree(p) == cudaErrorLaunchFailure);
  CHECK_FALSE(device_memory().owns(p));
  CHECK_FAILS(cudaDeviceSynchronize(), "thread (0,0,0): __trap");
  CHECK(cudaDeviceSynchronize() == cudaSuccess);
  cudaGetLastError();
}

TEST_CASE("the device describes itself") {
  int value = 0;
  CHECK(cudaGetDeviceCount(&value) == cudaSuccess);
  CHECK(value == 1);
  CHECK(cudaSetDevice(1) == cudaErrorInvalidDevice);
  for (const Arch& arch : known_archs) {
    const WithSettings with(arch);
    cudaDeviceProp properties;
    CHECK(cudaGetDeviceProperties(&properties, 0) == cudaSuccess);
    CHECK(properties.major * 10 + properties.minor == arch.capability);
    CHECK(properties.multiProcessorCount == arch.multiprocessors);
    CHECK(cudaDeviceGetAttribute(&value, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0) ==
          cudaSuccess);
    CHECK(static_cast<std::size_t>(value) == arch.shared_per_block);
    CHECK(properties.sharedMemPerBlockOptin == arch.shared_per_block);
  }
  CHECK(std::string(cudaGetErrorName(cudaErrorInvalidDevice)) == "cudaErrorInvalidDevice");
  CHECK(std::string(cudaGetErrorString(cudaSuccess)) == "no error");
  cudaGetLastError();
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
