#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>

#include "engine/buffer.hpp"

namespace pixeldp {

/// Extents of a tensor, outermost first; at most four. Images are N, H, W, C.
class Shape {
 public:
  static constexpr int max_rank = 4;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> extents);

  int rank() const { return rank_; }
  std::int64_t operator[](int axis) const { return extents_[static_cast<std::size_t>(axis)]; }
  /// Number of elements; 1 for rank 0.
  std::int64_t size() const;
  /// Elements of one row, that is of everything but the outermost axis.
  std::int64_t row_size() const;
  /// The same shape with another outermost extent.
  Shape with_rows(std::int64_t rows) const;
  /// "128x14x14x32"
  std::string text() const;

  auto begin() const { return extents_.begin(); }
  auto end() const { return extents_.begin() + rank_; }
  bool operator==(const Shape& other) const {
    return std::equal(begin(), end(), other.begin(), other.end());
  }

 private:
  std::array<std::int64_t, max_rank> extents_{};
  int rank_ = 0;
};

/// A dense fp32 array in row-major order in the memory of a device, aligned to 64 bytes. Move-only:
/// copies are explicit.
class Tensor {
 public:
  Tensor() = default;
  /// Zero-filled. Throws an Error that states the size when memory is short.
  explicit Tensor(const Shape& shape, Device device = {});

  const Shape& shape() const { return shape_; }
  Device device() const { return values_.device(); }
  std::int64_t size() const { return empty() ? 0 : shape_.size(); }
  std::int64_t rows() const { return shape_[0]; }
  bool empty() const { return !values_.data(); }

  float* data() { return values_.data(); }
  const float* data() const { return values_.data(); }
  float* row(std::int64_t i) { return data() + i * shape_.row_size(); }
  const float* row(std::int64_t i) const { return data() + i * shape_.row_size(); }
  /// The values in host memory. Throws an Error where they lie on another device.
  std::span<float> values();
  std::span<const float> values() const;

  /// A copy in the memory of `device`, which is the stream's or the processor. A copy to the
  /// processor is done when the call returns.
  Tensor to(const Stream& stream, Device device) const;
  /// Copies the values of a tensor of the same size, from the processor or the stream's device.
  void copy_from(const Stream& stream, const Tensor& other);
  /// The next two are for tensors in host memory.
  Tensor clone() const;
  void fill(float value);
  /// The same values in another shape of the same size.
  void reshape(const Shape& shape);
  /// Makes this a tensor of the given shape on the given device, keeping the memory if neither
  /// changes. The contents are unspecified afterwards.
  void resize(const Shape& shape, Device device = {});

 private:
  Shape shape_;
  Buffer<float> values_;
};

}  // namespace pixeldp
