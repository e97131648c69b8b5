#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "engine/error.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/kernels/cuda/pointers.hpp"
#include "tests/reference/values.hpp"

/// Each pointer of each operation and kernel, moved by one element while the others stay aligned:
/// the results are the same bits, or the call is refused for that very reason. The emulator reports
/// every access of a kernel that is not a multiple of its size (and so do sanitizers).
namespace pixeldp::kernels::emulated::moved {

using reference::reals;

/// An argument in device memory.
struct Array {
  std::size_t element;
  std::vector<std::byte> values;

  template <class T>
  Array(const std::vector<T>& from) : element(sizeof(T)), values(from.size() * sizeof(T)) {
    std::memcpy(values.data(), from.data(), values.size());
  }
};

inline Array floats(std::int64_t count, std::uint64_t seed = 1) { return reals(count, seed); }
inline Array halves(std::int64_t count, std::uint64_t seed = 1) {
  std::vector<std::uint16_t> bits;
  for (const float value : reals(count, seed)) bits.push_back(reference::to_bf16(value));
  return bits;
}
template <class T = std::uint64_t>
Array words(std::size_t count, T value = 0) {
  return std::vector<T>(count, value);
}

using Call = std::function<void(const Stream&, const Pointers&)>;

/// All arrays after the call with array number `moved` out of place; what it threw instead.
struct Outcome {
  std::vector<std::vector<std::byte>> arrays;
  std::string error;
};

inline Outcome run(const std::vector<Array>& arrays, std::optional<std::size_t> moved,
                   const Call& call) {
  std::vector<std::unique_ptr<DeviceArray<std::byte>>> memory;
  Pointers pointers;
  const auto offset = [&](std::size_t i) { return moved == i ? arrays[i].element : 0; };
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    std::vector<std::byte> values(offset(i));
    values.insert(values.end(), arrays[i].values.begin(), arrays[i].values.end());
    memory.push_back(std::make_unique<DeviceArray<std::byte>>(values));
    pointers.push_back({memory.back()->data() + offset(i)});
  }
  Outcome outcome;
  try {
    call(test_stream(), pointers);
  } catch (const Error& error) {
    outcome.error = error.what();
  }
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    const std::vector<std::byte> values = memory[i]->values();
    outcome.arrays.emplace_back(values.begin() + static_cast<std::ptrdiff_t>(offset(i)),
                                values.end());
  }
  return outcome;
}

/// `whole`: the arrays, by number, that must begin at multiples of 16 bytes: the call says so.
inline void check(const char* name, const std::vector<Array>& arrays, const Call& call,
                  const std::vector<std::size_t>& whole = {}) {
  CAPTURE(name);
  const Outcome expected = run(arrays, std::nullopt, call);
  CHECK(expected.error == "");
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    CAPTURE(i);
    const Outcome moved = run(arrays, i, call);
    if (std::find(whole.begin(), whole.end(), i) != whole.end()) {
      CHECK_MESSAGE(moved.error.find("aligned to 16 bytes") != std::string::npos, moved.error);
      continue;
    }
    CHECK(moved.error == "");
    for (std::size_t j = 0; j < arrays.size(); ++j) CHECK(moved.arrays[j] == expected.arrays[j]);
  }
}

}  // namespace pixeldp::kernels::emulated::moved
