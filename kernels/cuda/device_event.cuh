#pragma once

#include "kernels/cuda/check.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {

/// A moment in the work of a stream.
class DeviceEvent {
 public:
  /// Who waits for it sleeps.
  DeviceEvent() {
    check_call(cudaEventCreateWithFlags(&event_, cudaEventBlockingSync), "making an event");
  }
  ~DeviceEvent() { cudaEventDestroy(event_); }
  DeviceEvent(const DeviceEvent&) = delete;
  DeviceEvent& operator=(const DeviceEvent&) = delete;

  /// A graph that is being recorded will do so at every launch, for streams besides it.
  void record(cudaStream_t stream) {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    check_call(cudaStreamIsCapturing(stream, &status), "asking whether a graph is being recorded");
    check_call(
        cudaEventRecordWithFlags(event_, stream,
                                 status == cudaStreamCaptureStatusNone ? cudaEventRecordDefault
                                                                       : cudaEventRecordExternal),
        "recording an event");
  }
  void wait() const { check_call(cudaEventSynchronize(event_), "waiting for an event"); }
  /// What the stream is given from now on starts after it.
  void hold(cudaStream_t stream) const {
    check_call(cudaStreamWaitEvent(stream, event_, 0), "letting a stream wait for an event");
  }
  /// Milliseconds; both must have happened.
  float since(const DeviceEvent& start) const {
    float milliseconds = 0.0f;
    check_call(cudaEventElapsedTime(&milliseconds, start.event_, event_), "asking for a time");
    return milliseconds;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
