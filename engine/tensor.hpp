#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>

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

/// A dense fp32 array in row-major order, aligned to 64 bytes. Move-only: copies are explicit
/// (clone).
class Tensor {
 public:
  Tensor() = default;
  /// Zero-filled. Throws an Error that states the size when memory is short.
  explicit Tensor(Shape shape);

  const Shape& shape() const { return shape_; }
  std::int64_t size() const { return data_ ? shape_.size() : 0; }
  std::int64_t rows() const { return shape_[0]; }
  bool empty() const { return !data_; }

  float* data() { return data_.get(); }
  const float* data() const { return data_.get(); }
  float* row(std::int64_t i) { return data() + i * shape_.row_size(); }
  const float* row(std::int64_t i) const { return data() + i * shape_.row_size(); }
  std::span<float> values() { return {data(), static_cast<std::size_t>(size())}; }
  std::span<const float> values() const { return {data(), static_cast<std::size_t>(size())}; }

  Tensor clone() const;
  void fill(float value);
  /// Makes this a tensor of the given shape, keeping the memory if the shape is unchanged.
  /// The contents are unspecified afterwards.
  void resize(const Shape& shape);

 private:
  struct Free {
    void operator()(float* p) const;
  };
  Shape shape_;
  std::unique_ptr<float[], Free> data_;
};

}  // namespace pixeldp
