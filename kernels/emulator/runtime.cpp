#include "kernels/emulator/runtime.hpp"

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>

#include "kernels/emulator/cluster.hpp"
#include "kernels/emulator/memory.hpp"
#include "kernels/emulator/runtime_state.hpp"
#include "kernels/emulator/settings.hpp"

namespace pixeldp::emulator {

namespace {

thread_local cudaError_t last_error = cudaSuccess;
thread_local std::string last_error_text;

std::string_view meaning(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    case cudaErrorInvalidMemcpyDirection:
      return "invalid copy direction for memcpy";
    case cudaErrorInvalidDevice:
      return "invalid device ordinal";
    case cudaErrorInvalidResourceHandle:
      return "invalid resource handle";
    case cudaErrorIllegalState:
      return "the operation cannot be performed in the present state";
    case cudaErrorNotReady:
      return "device not ready";
    case cudaErrorLaunchFailure:
      return "unspecified launch failure";
    case cudaErrorStreamCaptureUnsupported:
      return "operation not permitted when stream is capturing";
  }
  return "unrecognized error code";
}

template <class Owner, class Handle>
bool is_live(const std::vector<Owner>& owners, Handle handle) {
  return std::any_of(owners.begin(), owners.end(),
                     [&](const Owner& owner) { return owner.get() == handle; });
}

template <class Owner, class Handle>
cudaError_t destroy(std::vector<Owner>& owners, Handle handle, const char* what) {
  const std::lock_guard lock(runtime().mutex);
  const auto found = std::find_if(owners.begin(), owners.end(),
                                  [&](const Owner& owner) { return owner.get() == handle; });
  if (found == owners.end()) return bad_handle(what);
  owners.erase(found);
  return cudaSuccess;
}

void rethrow_unreported() {
  if (runtime().unreported != nullptr)
    std::rethrow_exception(std::exchange(runtime().unreported, nullptr));
}

}  // namespace

Runtime& runtime() {
  static Runtime instance;
  return instance;
}

WorkTally work_tally() {
  const std::lock_guard lock(runtime().mutex);
  return runtime().tally;
}

void reset_work_tally() {
  const std::lock_guard lock(runtime().mutex);
  runtime().tally = {};
}

cudaError_t set_error(cudaError_t code, const std::string& detail) {
  last_error = code;
  last_error_text = fmt::format("{}: {}", meaning(code), detail);
  return code;
}

cudaError_t finish_quietly(const char* what) {
  ++runtime().tally.waits;
  const auto finish = [](EmulatedStream& stream) {
    while (!stream.idle()) {
      try {
        stream.run_all();
      } catch (...) {
        if (runtime().unreported == nullptr) runtime().unreported = std::current_exception();
      }
    }
  };
  finish(*runtime().default_stream);
  for (const auto& stream : std::vector(runtime().streams)) finish(*stream);
  return runtime().unreported == nullptr
             ? cudaSuccess
             : error(cudaErrorLaunchFailure, "{}: a kernel failed before; wait to learn how", what);
}

cudaError_t bad_handle(const char* what) {
  return error(cudaErrorInvalidResourceHandle, "{}: no such stream, event or graph", what);
}

cudaError_t enqueue(cudaStream_t handle, const char* what, Task task) {
  const std::lock_guard lock(runtime().mutex);
  const auto stream = runtime().find(handle);
  if (stream == nullptr) return bad_handle(what);
  if (stream->capture != nullptr)
    stream->capture->nodes.push_back({std::move(task)});
  else
    stream->give(std::move(task));
  return cudaSuccess;
}

namespace {

template <class Which>
cudaError_t spoil_captures(const char* what, Which which) {
  bool any = false;
  for (const auto& stream : runtime().streams)
    if (stream->capture != nullptr && which(*stream)) any = stream->capture_failed = true;
  if (!any) return cudaSuccess;
  return error(cudaErrorStreamCaptureUnsupported, "{} while a stream is being captured", what);
}

}  // namespace

cudaError_t refuse_capture(const char* what) {
  return spoil_captures(what, [](const EmulatedStream& stream) {
    return stream.capturer == std::this_thread::get_id();
  });
}

cudaError_t refuse_any_capture(const char* what) {
  return spoil_captures(what, [](const EmulatedStream&) { return true; });
}

const char* cudaGetErrorString(cudaError_t code) {
  return code != cudaSuccess && last_error_text.starts_with(meaning(code)) ? last_error_text.c_str()
                                                                           : meaning(code).data();
}

const char* cudaGetErrorName(cudaError_t code) {
  switch (code) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration:
      return "cudaErrorInvalidConfiguration";
    case cudaErrorInvalidMemcpyDirection:
      return "cudaErrorInvalidMemcpyDirection";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    case cudaErrorInvalidResourceHandle:
      return "cudaErrorInvalidResourceHandle";
    case cudaErrorIllegalState:
      return "cudaErrorIllegalState";
    case cudaErrorNotReady:
      return "cudaErrorNotReady";
    case cudaErrorLaunchFailure:
      return "cudaErrorLaunchFailure";
    case cudaErrorStreamCaptureUnsupported:
      return "cudaErrorStreamCaptureUnsupported";
  }
  return "unrecognized error code";
}

cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
cudaError_t cudaPeekAtLastError() { return last_error; }

// ---- Devices

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

cudaError_t cudaDeviceSynchronize() {
  const std::lock_guard lock(runtime().mutex);
  if (const cudaError_t refused = refuse_any_capture("cudaDeviceSynchronize")) return refused;
  ++runtime().tally.waits;
  rethrow_unreported();
  runtime().default_stream->run_all();
  for (const auto& stream : std::vector(runtime().streams)) stream->run_all();
  return cudaSuccess;
}

// ---- Streams

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  const std::lock_guard lock(runtime().mutex);
  runtime().streams.push_back(std::make_shared<EmulatedStream>());
  *stream = runtime().streams.back().get();
  return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithFlags(stream, 0); }

cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  {
    const std::lock_guard lock(runtime().mutex);
    if (handle == nullptr || runtime().find(handle) == nullptr)
      return bad_handle("cudaStreamDestroy");
    finish_quietly("cudaStreamDestroy");
  }
  return destroy(runtime().streams, handle, "cudaStreamDestroy");
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  const std::lock_guard lock(runtime().mutex);
  const auto stream = runtime().find(handle);
  if (stream == nullptr) return bad_handle("cudaStreamSynchronize");
  if (const cudaError_t refused = refuse_capture("cudaStreamSynchronize")) return refused;
  ++runtime().tally.waits;
  rethrow_unreported();
  stream->run_all();
  return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  const std::lock_guard lock(runtime().mutex);
  const auto stream = runtime().find(handle);
  if (stream == nullptr) return bad_handle("cudaStreamQuery");
  if (const cudaError_t refused = refuse_capture("cudaStreamQuery")) return refused;
  return stream->idle() ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned) {
  const std::lock_guard lock(runtime().mutex);
  const auto stream = runtime().find(handle);
  if (stream == nullptr || !is_live(runtime().events, event))
    return bad_handle("cudaStreamWaitEvent");
  if (const cudaError_t refused = refuse_capture("cudaStreamWaitEvent")) return refused;
  stream->give([event = *event] { event.wait(); });
  return cudaSuccess;
}

// ---- Events

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  const std::lock_guard lock(runtime().mutex);
  runtime().events.push_back(std::make_unique<Event>());
  *event = runtime().events.back().get();
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, 0); }

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return destroy(runtime().events, event, "cudaEventDestroy");
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  const std::lock_guard lock(runtime().mutex);
  const auto stream = runtime().find(handle);
  if (stream == nullptr || !is_live(runtime().events, event)) return bad_handle("cudaEventRecord");
  if (const cudaError_t refused = refuse_capture("cudaEventRecord")) return refused;
  event->record(stream);
  return cudaSuccess;
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t handle, unsigned flags) {
  const std::lock_guard lock(runtime().mutex);
  if (flags == cudaEventRecordDefault) return cudaEventRecord(event, handle);
  const auto stream = runtime().find(handle);
  if (stream == nullptr || !is_live(runtime().events, event))
    return bad_handle("cudaEventRecordWithFlags");
  if (flags != cudaEventRecordExternal || stream->capture == nullptr)
    return error(cudaErrorInvalidValue, "cudaEventRecordWithFlags: flags {} of a stream that is {}",
                 flags, stream->capture == nullptr ? "not captured" : "captured");
  stream->capture->nodes.push_back({.task = {}, .event = event});
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const std::lock_guard lock(runtime().mutex);
  if (!is_live(runtime().events, event)) return bad_handle("cudaEventSynchronize");
  if (const cudaError_t refused = refuse_capture("cudaEventSynchronize")) return refused;
  ++runtime().tally.event_waits;
  rethrow_unreported();
  event->wait();
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  const std::lock_guard lock(runtime().mutex);
  if (!is_live(runtime().events, event)) return bad_handle("cudaEventQuery");
  return event->done() ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  const std::lock_guard lock(runtime().mutex);
  if (!is_live(runtime().events, start) || !is_live(runtime().events, end) ||
      start->stream == nullptr || end->stream == nullptr)
    return bad_handle("cudaEventElapsedTime");
  if (!start->done() || !end->done()) return cudaErrorNotReady;
  *milliseconds = std::chrono::duration<float, std::milli>(*end->time - *start->time).count();
  return cudaSuccess;
}

// ---- Graphs

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  const std::lock_guard lock(runtime().mutex);
  const auto stream = runtime().find(handle);
  if (stream == nullptr) return bad_handle("cudaStreamIsCapturing");
  *status = stream->capture == nullptr ? cudaStreamCaptureStatusNone
            : stream->capture_failed   ? cudaStreamCaptureStatusInvalidated
                                       : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode) {
  const std::lock_guard lock(runtime().mutex);
  const auto stream = runtime().find(handle);
  if (handle == nullptr || stream == nullptr) return bad_handle("cudaStreamBeginCapture");
  if (stream->capture != nullptr)
    return error(cudaErrorIllegalState, "cudaStreamBeginCapture: the stream is being captured");
  stream->capture = std::make_unique<Graph>();
  stream->capturer = std::this_thread::get_id();
  stream->capture_failed = false;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  const std::lock_guard lock(runtime().mutex);
  *graph = nullptr;
  const auto stream = runtime().find(handle);
  if (stream == nullptr) return bad_handle("cudaStreamEndCapture");
  if (stream->capture == nullptr)
    return error(cudaErrorIllegalState, "cudaStreamEndCapture: the stream is not being captured");
  auto recorded = std::move(stream->capture);
  if (stream->capture_failed)
    return error(cudaErrorStreamCaptureUnsupported,
                 "cudaStreamEndCapture: a call that cannot be captured spoilt the capture");
  runtime().graphs.push_back(std::move(recorded));
  *graph = runtime().graphs.back().get();
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  const std::lock_guard lock(runtime().mutex);
  if (!is_live(runtime().graphs, graph)) return bad_handle("cudaGraphInstantiate");
  runtime().execs.push_back(std::make_unique<GraphExec>());
  *exec = runtime().execs.back().get();
  (*exec)->nodes = std::make_shared<const std::vector<GraphNode>>(graph->nodes);
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t handle) {
  const std::lock_guard lock(runtime().mutex);
  const auto stream = runtime().find(handle);
  if (stream == nullptr || !is_live(runtime().execs, exec)) return bad_handle("cudaGraphLaunch");
  for (const GraphNode& node : *exec->nodes)
    if (node.event != nullptr && !is_live(runtime().events, node.event))
      return bad_handle("cudaGraphLaunch");
  ++runtime().tally.graph_launches;
  if (stream->capture != nullptr) {
    auto& nodes = stream->capture->nodes;
    nodes.insert(nodes.end(), exec->nodes->begin(), exec->nodes->end());
    return cudaSuccess;
  }
  // One by one, so that who waits for an event of a graph has no more of it done than that.
  for (const GraphNode& node : *exec->nodes) {
    if (node.event != nullptr)
      node.event->record(stream);
    else
      stream->give([nodes = exec->nodes, &node] { node.task(); });
  }
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  return destroy(runtime().execs, exec, "cudaGraphExecDestroy");
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return destroy(runtime().graphs, graph, "cudaGraphDestroy");
}

// ---- Kernels

cudaError_t launch_kernel(const KernelLaunch& launch, cudaStream_t stream) {
  const auto& [gx, gy, gz] = launch.grid;
  const auto& [bx, by, bz] = launch.block;
  if (gx < 1 || gy < 1 || gz < 1 || gx > 0x7fffffff || gy > 65535 || gz > 65535)
    return error(cudaErrorInvalidConfiguration, "a grid of ({},{},{}) blocks", gx, gy, gz);
  if (bx < 1 || by < 1 || bz < 1 || bx > 1024 || by > 1024 || bz > 64 || bx * by * bz > 1024)
    return error(cudaErrorInvalidConfiguration, "a block of ({},{},{}) threads", bx, by, bz);
  if (const kernels::Arch& arch = settings().arch; launch.shared_bytes > arch.shared_per_block) {
    return error(cudaErrorInvalidConfiguration, "{} bytes of shared memory: {} has {}",
                 launch.shared_bytes, arch.name(), arch.shared_per_block);
  }
  if (launch.cluster < 1 || launch.cluster > Cluster::most_blocks || gx % launch.cluster != 0)
    return error(cudaErrorInvalidConfiguration, "clusters of {} of ({},{},{}) blocks",
                 launch.cluster, gx, gy, gz);
  if (launch.cluster > 1 && settings().arch.capability < 90)
    return error(cudaErrorInvalidConfiguration, "clusters of {} blocks: {} has none",
                 launch.cluster, settings().arch.name());
  const std::lock_guard lock(runtime().mutex);
  ++runtime().tally.launches;
  return enqueue(stream, "a kernel launch", [launch] {
    ++runtime().tally.kernels[std::string(launch.name)];
    run_kernel(launch);
  });
}

}  // namespace pixeldp::emulator
