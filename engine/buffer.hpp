#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

#include "engine/device.hpp"

namespace pixeldp {

/// Memory of a device. Move-only.
class Memory {
 public:
  Memory() = default;
  /// Filled with zeros. Throws an Error with the size asked for and the size free when memory is
  /// short.
  Memory(Device device, std::size_t bytes);
  ~Memory();
  Memory(Memory&& other) noexcept
      : device_(other.device_), data_(std::exchange(other.data_, nullptr)) {}
  Memory& operator=(Memory&& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(data_, other.data_);
    return *this;
  }

  Device device() const { return device_; }
  void* data() const { return data_; }

 private:
  Device device_;
  void* data_ = nullptr;
};

/// Copies between any two devices' memory, one of which is the stream's or the processor's; in the
/// order of the stream. If either is host memory the copy is done when the call returns.
void copy_memory(const Stream& stream, void* to, Device to_device, const void* from,
                 Device from_device, std::size_t bytes);

/// Zeros in the memory of the stream's device, in the order of the stream.
void zero_memory(const Stream& stream, void* memory, std::size_t bytes);

/// Host memory that the device reads and writes while the host goes on, filled with zeros. Throws
/// an Error when memory is short.
std::shared_ptr<void> pinned_memory(Device device, std::size_t bytes);

/// copy_memory between a device's memory and pinned memory that returns at once: the pinned memory
/// is left alone until the stream is past the copy.
void upload_async(const Stream& stream, void* to, const void* from_pinned, std::size_t bytes);
void download_async(const Stream& stream, void* to_pinned, const void* from, std::size_t bytes);

/// Throws an Error unless they are.
void check_same_size(std::size_t pinned, std::int64_t buffer);

/// An array in pinned memory, for the asynchronous copies of a Buffer of the same size. It stays
/// where it is.
template <class T>
class PinnedBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  PinnedBuffer(Device device, std::int64_t count)
      : memory_(pinned_memory(device, static_cast<std::size_t>(count) * sizeof(T))), size_(count) {}
  PinnedBuffer(PinnedBuffer&&) = delete;

  T* data() { return static_cast<T*>(memory_.get()); }
  const T* data() const { return static_cast<const T*>(memory_.get()); }
  std::span<T> values() { return {data(), static_cast<std::size_t>(size_)}; }
  std::span<const T> values() const { return {data(), static_cast<std::size_t>(size_)}; }

 private:
  std::shared_ptr<void> memory_;
  std::int64_t size_;
};

/// An array in the memory of a device. Move-only: copies are explicit.
template <class T>
class Buffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Buffer() = default;
  /// Filled with zeros.
  Buffer(Device device, std::int64_t count)
      : memory_(device, static_cast<std::size_t>(count) * sizeof(T)), size_(count) {}

  T* data() { return static_cast<T*>(memory_.data()); }
  const T* data() const { return static_cast<const T*>(memory_.data()); }
  std::int64_t size() const { return size_; }
  Device device() const { return memory_.device(); }

  /// Copies values from host memory to the beginning, and from the beginning to host memory; done
  /// when the call returns.
  void upload(const Stream& stream, std::span<const T> values) {
    copy_memory(stream, data(), device(), values.data(), {}, values.size_bytes());
  }
  void download(const Stream& stream, std::span<T> values) const {
    copy_memory(stream, values.data(), {}, data(), device(), values.size_bytes());
  }

  /// The whole from and to pinned memory of the same size, else an Error; done when the stream
  /// comes to it.
  void upload(const Stream& stream, const PinnedBuffer<T>& values) {
    check_same_size(values.values().size(), size_);
    upload_async(stream, data(), values.data(), values.values().size_bytes());
  }
  void download(const Stream& stream, PinnedBuffer<T>& values) const {
    check_same_size(values.values().size(), size_);
    download_async(stream, values.data(), data(), values.values().size_bytes());
  }

  void zero(const Stream& stream) {
    zero_memory(stream, data(), static_cast<std::size_t>(size_) * sizeof(T));
  }

 private:
  Memory memory_;
  std::int64_t size_ = 0;
};

}  // namespace pixeldp
