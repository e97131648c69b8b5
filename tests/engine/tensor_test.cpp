#include "engine/tensor.hpp"

#include <cstdint>
#include <limits>
#include <utility>

#include <doctest/doctest.h>

#include "tests/throws_error.hpp"

namespace pixeldp {

TEST_CASE("shape: sizes, text and equality") {
  const Shape image{128, 14, 7, 32};
  CHECK(image.rank() == 4);
  CHECK(image.size() == 128 * 14 * 7 * 32);
  CHECK(image.row_size() == 14 * 7 * 32);
  CHECK(image.text() == "128x14x7x32");
  CHECK(image.with_rows(3) == Shape{3, 14, 7, 32});
  CHECK(image.with_rows(0).size() == 0);
  CHECK(Shape{}.size() == 1);
  CHECK(Shape{5}.row_size() == 1);
  CHECK_FALSE(Shape{2, 3} == Shape{3, 2});
  CHECK_FALSE(Shape{2} == Shape{2, 1});
  CHECK_FALSE(Shape{} == Shape{1});
  CHECK((Shape{1 << 20, 1 << 20, 4}.size()) == std::int64_t{1} << 42);
}

TEST_CASE("shape: refuses a fifth axis and negative extents") {
  CHECK_FAILS((Shape{1, 2, 3, 4, 5}), "at most 4 axes, not 5");
  CHECK_FAILS((Shape{2, -1}), "-1");
}

TEST_CASE("tensor: starts at zero, aligned, row by row") {
  Tensor tensor(Shape{3, 2, 5});
  CHECK(tensor.size() == 30);
  CHECK(tensor.rows() == 3);
  CHECK(reinterpret_cast<std::uintptr_t>(tensor.data()) % 64 == 0);
  for (const float value : tensor.values()) CHECK(value == 0.0f);
  CHECK(tensor.row(2) == tensor.data() + 20);
  tensor.row(2)[9] = 4.0f;
  CHECK(tensor.values().back() == 4.0f);
  tensor.fill(-1.5f);
  for (const float value : std::as_const(tensor).values()) CHECK(value == -1.5f);
}

TEST_CASE("tensor: empty is not the same as without elements") {
  CHECK(Tensor().empty());
  CHECK(Tensor().size() == 0);
  const Tensor none(Shape{0, 4});
  CHECK_FALSE(none.empty());
  CHECK(none.size() == 0);
  CHECK_FALSE(none.clone().empty());
  CHECK(Tensor().clone().empty());
}

TEST_CASE("tensor: a clone is independent, a move leaves nothing behind") {
  Tensor a(Shape{2, 2});
  a.fill(3.0f);
  Tensor b = a.clone();
  b.data()[0] = 7.0f;
  CHECK(a.data()[0] == 3.0f);
  CHECK(b.shape() == a.shape());
  CHECK(b.data()[3] == 3.0f);
  const float* memory = b.data();
  const Tensor c = std::move(b);
  CHECK(c.data() == memory);
  CHECK(b.empty());  // NOLINT: that is what is tested
}

TEST_CASE("tensor: resize keeps the memory of the same shape only") {
  Tensor tensor(Shape{4, 4});
  const float* memory = tensor.data();
  tensor.resize(Shape{4, 4});
  CHECK(tensor.data() == memory);
  tensor.resize(Shape{2, 8});
  CHECK(tensor.shape() == Shape{2, 8});
  CHECK(tensor.size() == 16);
}

}  // namespace pixeldp
