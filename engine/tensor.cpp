#include "engine/tensor.hpp"

#include <algorithm>
#include <utility>

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

Tensor::Tensor(const Shape& shape, Device device)
    : shape_(shape), values_(device, std::max<std::int64_t>(shape.size(), 1)) {}

std::span<const float> Tensor::values() const {
  if (device().kind != DeviceKind::cpu)
    fail("the values of a tensor of {} were asked for, but lie on {}", shape_.text(),
         device().name());
  return {data(), static_cast<std::size_t>(size())};
}

std::span<float> Tensor::values() {
  const auto read_only = std::as_const(*this).values();
  return {data(), read_only.size()};
}

Tensor Tensor::to(const Stream& stream, Device device) const {
  if (empty()) return {};
  Tensor copy(shape_, device);
  copy.copy_from(stream, *this);
  return copy;
}

void Tensor::copy_from(const Stream& stream, const Tensor& other) {
  if (other.size() != size())
    fail("a tensor of {} cannot be copied to one of {}", other.shape_.text(), shape_.text());
  copy_memory(stream, data(), device(), other.data(), other.device(),
              static_cast<std::size_t>(size()) * sizeof(float));
}

Tensor Tensor::clone() const { return to(Stream(), Device()); }

void Tensor::fill(float value) { std::ranges::fill(values(), value); }

void Tensor::reshape(const Shape& shape) {
  if (shape.size() != size()) fail("{} values have no shape {}", size(), shape.text());
  shape_ = shape;
}

void Tensor::resize(const Shape& shape, Device device) {
  if (empty() || shape_ != shape || this->device() != device) *this = Tensor(shape, device);
}

}  // namespace pixeldp
