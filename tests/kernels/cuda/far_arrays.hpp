#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include <doctest/doctest.h>

#include "tests/emulator/device_array.hpp"
#include "tests/kernels/cuda/pointers.hpp"
#include "tests/reference/values.hpp"

/// Arrays of more elements than 32 bits can count. They have addresses, but memory only where they
/// are touched: the last block of each grid runs alone, and must do at their ends what a small
/// problem does that consists of nothing but these ends.
namespace pixeldp::kernels::emulated::far {

using reference::reals;

constexpr std::int64_t two_to_the(int power) { return std::int64_t{1} << power; }

/// An argument: what the small problem has, and how many elements the large one has, which ends
/// with the same ones; in front of them it holds zeros where it is large, what is not a number
/// elsewhere.
struct Array {
  std::size_t element;
  std::vector<std::byte> values;
  std::int64_t far_count;
  std::vector<std::byte> far_values = {};  ///< if they differ
  std::size_t compared = 0;                ///< bytes of the end that both calls leave alike

  template <class T>
  Array(const std::vector<T>& near, std::int64_t count)
      : element(sizeof(T)), values(bytes_of(near)), far_count(count), compared(values.size()) {}
  template <class T>
  explicit Array(const std::vector<T>& both) : Array(both, std::ssize(both)) {}

  /// Only so many elements of the end come out the same.
  Array alike(std::int64_t count) const {
    Array result = *this;
    result.compared = static_cast<std::size_t>(count) * element;
    return result;
  }
  /// The large problem has other values.
  template <class T>
  Array but(const std::vector<T>& far) const {
    Array result = *this;
    result.far_values = bytes_of(far), result.compared = 0;
    return result;
  }

 private:
  template <class T>
  static std::vector<std::byte> bytes_of(const std::vector<T>& from) {
    std::vector<std::byte> bytes(from.size() * sizeof(T));
    std::memcpy(bytes.data(), from.data(), bytes.size());
    return bytes;
  }
};

inline Array floats(std::int64_t near, std::int64_t far, std::uint64_t seed = 1) {
  return {reals(near, seed), far};
}
inline Array halves(std::int64_t near, std::int64_t far, std::uint64_t seed = 1) {
  std::vector<std::uint16_t> bits;
  for (const float value : reals(near, seed)) bits.push_back(reference::to_bf16(value));
  return {bits, far};
}
template <class T = std::uint64_t>
Array zeros(std::int64_t near, std::int64_t far) {
  return {std::vector<T>(static_cast<std::size_t>(near)), far};
}

using Call = std::function<void(const Pointers&)>;

/// The last bytes of each array, after the call.
inline std::vector<std::vector<std::byte>> ends(const std::vector<Array>& arrays, bool far,
                                                const Call& call) {
  std::vector<std::unique_ptr<DeviceArray<std::byte>>> memory;
  Pointers pointers;
  for (const Array& array : arrays) {
    const auto& values = far && !array.far_values.empty() ? array.far_values : array.values;
    const std::size_t bytes =
        far ? static_cast<std::size_t>(array.far_count) * array.element : array.values.size();
    memory.push_back(std::make_unique<DeviceArray<std::byte>>(bytes));
    std::byte* const begin = memory.back()->data();
    std::copy(values.begin(), values.end(), begin + bytes - values.size());
    pointers.push_back({begin});
  }
  call(pointers);
  test_stream().synchronize();
  std::vector<std::vector<std::byte>> results;
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    const std::byte* const end = memory[i]->data() + memory[i]->size();
    results.emplace_back(end - arrays[i].compared, end);
  }
  return results;
}

inline void check(const char* name, const std::vector<Array>& arrays, const Call& near,
                  const Call& far) {
  CAPTURE(name);
  const auto expected = ends(arrays, false, near);
  Settings last = settings();
  last.last_block_only = true;
  last.memory = std::size_t{1} << 39;
  const WithSettings with(last);
  const auto results = ends(arrays, true, far);
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    CAPTURE(i);
    CHECK(results[i] == expected[i]);
  }
}

/// call(pointers, how much) for both problems.
inline void check(const char* name, const std::vector<Array>& arrays, std::int64_t near,
                  std::int64_t far,
                  const std::function<void(const Pointers&, std::int64_t)>& call) {
  check(
      name, arrays, [&](const Pointers& p) { call(p, near); },
      [&](const Pointers& p) { call(p, far); });
}

inline const Stream& s() { return test_stream(); }
inline void* native_stream() { return test_stream().native(); }

}  // namespace pixeldp::kernels::emulated::far
