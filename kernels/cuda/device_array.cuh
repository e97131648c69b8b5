#pragma once

#include <cstddef>
#include <string>

#include "kernels/cuda/check.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {

/// An array in device memory, for what lives long.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(std::size_t count) : bytes_(count * sizeof(T)) {
    if (count == 0) return;
    check_allocation(cudaMalloc(reinterpret_cast<void**>(&data_), bytes_), bytes_);
  }
  DeviceArray(const T* values, std::size_t count) : DeviceArray(count) {
    if (count == 0) return;
    check_call(cudaMemcpy(data_, values, bytes_, cudaMemcpyHostToDevice),
               "copying " + std::to_string(bytes_) + " bytes to memory");
  }
  ~DeviceArray() { cudaFree(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  T* data() const { return data_; }
  std::size_t size() const { return bytes_ / sizeof(T); }

 private:
  std::size_t bytes_;
  T* data_ = nullptr;
};

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
