#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "kernels/cuda/check.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {

/// Device memory that belongs to what is given to the stream while this object lives: it is
/// allocated and freed in the order of the stream, so that nothing waits and a graph can record it.
template <class T>
class StreamScratch {
 public:
  StreamScratch(cudaStream_t stream, std::int64_t count) : stream_(stream) {
    if (count == 0) return;
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
    check_allocation(cudaMallocAsync(reinterpret_cast<void**>(&data_), bytes, stream), bytes);
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

/// Values in device memory, copied in the stream from others; null for null.
template <class T>
class StreamCopyOf {
 public:
  StreamCopyOf(void* stream, const T* values, std::int64_t count)
      : memory_(static_cast<cudaStream_t>(stream), values == nullptr ? 0 : count) {
    if (memory_.data() == nullptr) return;
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
    check_call(cudaMemcpyAsync(memory_.data(), values, bytes, cudaMemcpyDeviceToDevice,
                               static_cast<cudaStream_t>(stream)),
               "copying " + std::to_string(bytes) + " bytes");
  }
  const T* data() const { return memory_.data(); }

 private:
  StreamScratch<T> memory_;
};

using StreamCopy = StreamCopyOf<float>;

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
