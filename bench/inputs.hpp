#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/buffer.hpp"

namespace pixeldp::bench {

/// Arrays in the memory of a device for something that is timed. They live as long as this object.
class Inputs {
 public:
  explicit Inputs(const Stream& stream) : stream_(stream) {}
  Inputs(const Inputs&) = delete;
  Inputs& operator=(const Inputs&) = delete;

  /// What is timed is given to this stream.
  const Stream& stream() const { return stream_; }

  /// Random values between `center` - `radius` and `center` + `radius`; Element is float or, for
  /// bf16, std::uint16_t. They repeat after a million, so that a gigabyte is made as fast as a GPU
  /// copies.
  template <class Element>
  Element* random(std::int64_t count, float radius = 1.0f, float center = 0.0f);

  template <class T>
  T* zeros(std::int64_t count) {
    return static_cast<T*>(allocate(static_cast<std::size_t>(count) * sizeof(T)));
  }
  template <class T>
  T* copy(std::span<const T> values) {
    T* const data = zeros<T>(static_cast<std::int64_t>(values.size()));
    copy_memory(stream_, data, stream_.device(), values.data(), {}, values.size_bytes());
    return data;
  }

 private:
  void* allocate(std::size_t bytes);

  Stream stream_;
  std::vector<Memory> memory_;
};

extern template float* Inputs::random(std::int64_t count, float radius, float center);
extern template std::uint16_t* Inputs::random(std::int64_t count, float radius, float center);

}  // namespace pixeldp::bench
