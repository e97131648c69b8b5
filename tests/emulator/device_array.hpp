#pragma once

#include <cstddef>
#include <stdexcept>
#include <vector>

#include "engine/device.hpp"
#include "kernels/cuda/device.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {

/// The stream of the tests, of the device that they are compiled for. Never destroyed: at the end
/// of the program the driver may be gone before.
inline const Stream& test_stream() {
#ifdef PIXELDP_EMULATED
  constexpr DeviceKind kind = DeviceKind::emulated;
#else
  constexpr DeviceKind kind = DeviceKind::cuda;
#endif
  static const Stream& stream = *new Stream(Device{kind});
  return stream;
}

/// Device memory for a test, checked when it ends: no failed call goes unnoticed.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(std::size_t count) : count_(count) {
    check(cudaMalloc(&data_, count * sizeof(T)));
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) {
    check(cudaMemcpy(data_, values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice));
    check(cudaDeviceSynchronize());  // streams do not wait for the copy
  }
  ~DeviceArray() { cudaFree(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() const { return data_; }
  std::size_t size() const { return count_; }

  /// Waits for everything given to the device.
  std::vector<T> values() const {
    check(cudaDeviceSynchronize());
    std::vector<T> values(count_);
    check(cudaMemcpy(values.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  static void check(cudaError_t error) {
    if (error != cudaSuccess) throw std::runtime_error(cudaGetErrorString(error));
  }

  T* data_ = nullptr;
  std::size_t count_;
};

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
