#pragma once

#include <cstddef>
#include <string>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch_error.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {

/// Throws an Error when a call of the runtime failed. `what` was tried.
inline void check(cudaError_t error, const std::string& what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // or the next call would report it again
  device_call_failed(cudaGetErrorString(error), what);
}

/// An array in device memory, allocated and freed in the order of the stream: what was given to the
/// stream while it lived may use it.
template <class T>
class StreamArray {
 public:
  StreamArray(void* stream, std::int64_t count) : stream_(static_cast<cudaStream_t>(stream)) {
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
    if (count == 0) return;
    check(cudaMallocAsync(reinterpret_cast<void**>(&data_), bytes, stream_),
          "allocating " + std::to_string(bytes) + " bytes");
  }
  /// A copy of values in device memory.
  StreamArray(void* stream, const T* values, std::int64_t count) : StreamArray(stream, count) {
    if (count == 0) return;
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
    check(cudaMemcpyAsync(data_, values, bytes, cudaMemcpyDeviceToDevice, stream_),
          "copying " + std::to_string(bytes) + " bytes");
  }
  ~StreamArray() {
    if (data_ != nullptr) cudaFreeAsync(data_, stream_);
  }
  StreamArray(const StreamArray&) = delete;
  StreamArray& operator=(const StreamArray&) = delete;

  T* data() const { return data_; }

 private:
  cudaStream_t stream_;
  T* data_ = nullptr;
};

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
