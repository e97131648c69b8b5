#include "engine/tensor.hpp"

#include <cstdlib>
#include <cstring>

#include "engine/error.hpp"

namespace pixeldp {

Shape::Shape(std::initializer_list<std::int64_t> extents) {
  if (extents.size() > max_rank)
    fail("a tensor has at most {} axes, not {}", max_rank, extents.size());
  for (const std::int64_t extent : extents) {
    if (extent < 0) fail("a tensor's extent cannot be {}", extent);
    extents_[static_cast<std::size_t>(rank_++)] = extent;
  }
}

std::int64_t Shape::size() const {
  std::int64_t n = 1;
  for (const std::int64_t extent : *this) n *= extent;
  return n;
}

std::int64_t Shape::row_size() const {
  std::int64_t n = 1;
  for (int axis = 1; axis < rank_; ++axis) n *= (*this)[axis];
  return n;
}

Shape Shape::with_rows(std::int64_t rows) const {
  Shape result = *this;
  result.extents_[0] = rows;
  return result;
}

std::string Shape::text() const { return fmt::format("{}", fmt::join(begin(), end(), "x")); }

void Tensor::Free::operator()(float* p) const { std::free(p); }

Tensor::Tensor(Shape shape) : shape_(shape) {
  constexpr std::size_t alignment = 64;
  const std::size_t bytes = static_cast<std::size_t>(shape.size()) * sizeof(float);
  const std::size_t padded = (bytes + alignment) / alignment * alignment;
  data_.reset(static_cast<float*>(std::aligned_alloc(alignment, padded)));
  if (!data_) {
    fail("out of memory: a tensor of {} needs {:.1f} MiB; use a smaller batch", shape.text(),
         static_cast<double>(bytes) / (1 << 20));
  }
  std::memset(data_.get(), 0, padded);
}

Tensor Tensor::clone() const {
  if (empty()) return {};
  Tensor copy(shape_);
  std::memcpy(copy.data(), data(), static_cast<std::size_t>(size()) * sizeof(float));
  return copy;
}

void Tensor::fill(float value) { std::fill_n(data(), size(), value); }

void Tensor::resize(const Shape& shape) {
  if (!data_ || shape_ != shape) *this = Tensor(shape);
}

}  // namespace pixeldp
