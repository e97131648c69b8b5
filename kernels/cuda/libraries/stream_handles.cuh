#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "kernels/cuda/check.cuh"

namespace pixeldp::kernels::cuda {

/// Whether what is given to the stream is recorded into a graph, so that nothing runs.
inline bool is_captured(cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  if (cudaStreamIsCapturing(stream, &status) == cudaSuccess)
    return status != cudaStreamCaptureStatusNone;
  cudaGetLastError();
  return true;  // the legacy stream, while another is recorded
}

/// A library's handle for each stream of each device: made when first asked for, which no recording
/// of a graph allows, and kept. Several threads may ask at once, but not for one stream.
template <class Handle>
class StreamHandles {
 public:
  Handle& of(cudaStream_t stream) {
    const std::lock_guard lock(mutex_);
    std::unique_ptr<Handle>& handle = handles_[key(stream)];
    if (handle == nullptr) {
      if (is_captured(stream))
        device_call_failed("a graph is being recorded: do the operation once before", Handle::what);
      handle = std::make_unique<Handle>(stream);
    }
    return *handle;
  }

  void drop(cudaStream_t stream) {
    const std::lock_guard lock(mutex_);
    handles_.erase(key(stream));
  }

 private:
  static std::pair<int, cudaStream_t> key(cudaStream_t stream) {
    int device = 0;
    check_call(cudaGetDevice(&device), "asking for the device");
    return {device, stream};
  }

  std::mutex mutex_;
  std::map<std::pair<int, cudaStream_t>, std::unique_ptr<Handle>> handles_;
};

}  // namespace pixeldp::kernels::cuda
