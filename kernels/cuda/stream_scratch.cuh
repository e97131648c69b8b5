#pragma once

#include <cstddef>
#include <cstdint>

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

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
