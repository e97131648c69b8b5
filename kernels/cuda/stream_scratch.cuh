#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch_error.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {

/// Device memory that belongs to what is given to the stream while this object lives: it is
/// allocated and freed in the order of the stream, so that nothing waits and a graph can record it.
template <class T>
class StreamScratch {
 public:
  StreamScratch(cudaStream_t stream, std::int64_t count) : stream_(stream) {
    if (count == 0) return;
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
    const cudaError_t error = cudaMallocAsync(reinterpret_cast<void**>(&data_), bytes, stream);
    if (error == cudaSuccess) return;
    cudaGetLastError();  // or the next call would report it again
    device_call_failed(cudaGetErrorString(error), "allocating " + std::to_string(bytes) + " bytes");
  }
  ~StreamScratch() {
    if (data_ != nullptr) cudaFreeAsync(data_, stream_);
  }
  StreamScratch(const StreamScratch&) = delete;
  StreamScratch& operator=(const StreamScratch&) = delete;
  T* data() const { return data_; }

 private:
  cudaStream_t stream_;
  T* data_ = nullptr;
};

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
