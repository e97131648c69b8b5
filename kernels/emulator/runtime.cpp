#include "kernels/emulator/runtime.hpp"

#include <utility>

#include "kernels/emulator/cluster.hpp"
#include "kernels/emulator/runtime_state.hpp"
#include "kernels/emulator/settings.hpp"

namespace pixeldp::emulator {
namespace {

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
