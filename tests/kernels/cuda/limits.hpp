#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <doctest/doctest.h>

#include "tests/throws_error.hpp"

/// Every condition of every plan: the last value that it accepts, and the first that it refuses.
namespace pixeldp::kernels {

constexpr std::int64_t most_blocks = 0x7fffffff;
constexpr std::int64_t two_to_the(int power) { return std::int64_t{1} << power; }

/// An address that is never read, `offset` bytes behind a multiple of 16.
template <class T = float>
T* at(std::uintptr_t offset) {
  return reinterpret_cast<T*>(4096 + offset);
}

struct Limit {
  const char* of;
  std::function<void(std::int64_t)> plan;
  std::int64_t accepted, refused;
  const char* why;
};

inline void check(const std::vector<Limit>& limits) {
  for (const Limit& limit : limits) {
    CAPTURE(limit.of);
    CHECK_NOTHROW(limit.plan(limit.accepted));
    CHECK_FAILS(limit.plan(limit.refused), limit.why);
  }
}

/// The same for a plan that says whether it supports something.
struct Supported {
  const char* of;
  std::function<bool(std::int64_t)> supports;
  std::int64_t accepted, refused;
};

inline void check(const std::vector<Supported>& limits) {
  for (const Supported& limit : limits) {
    CAPTURE(limit.of);
    CHECK(limit.supports(limit.accepted));
    CHECK_FALSE(limit.supports(limit.refused));
  }
}

}  // namespace pixeldp::kernels
