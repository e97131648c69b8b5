#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <type_traits>
#include <vector>

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace pixeldp::tests {

/// Which neighbour of an array nobody may touch.
enum class Guard { before, after };

/// An array with a page of memory right before or after it that can be neither read nor written: a
/// single element too far ends the program, also in code that no sanitizer has instrumented.
template <class T>
class GuardedArray {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  GuardedArray(std::size_t size, Guard guard)
      : size_(size), page_(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))) {
    const std::size_t bytes = size * sizeof(T), room = (bytes + page_ - 1) / page_ * page_;
    mapped_ = room + 2 * page_;
    base_ = static_cast<std::byte*>(
        ::mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    REQUIRE(base_ != MAP_FAILED);
    REQUIRE(::mprotect(base_ + page_, room, PROT_READ | PROT_WRITE) == 0);
    data_ = reinterpret_cast<T*>(base_ + page_ + (guard == Guard::after ? room - bytes : 0));
  }
  GuardedArray(const std::vector<T>& values, Guard guard) : GuardedArray(values.size(), guard) {
    std::copy(values.begin(), values.end(), data_);
  }
  ~GuardedArray() { ::munmap(base_, mapped_); }
  GuardedArray(const GuardedArray&) = delete;
  GuardedArray& operator=(const GuardedArray&) = delete;

  T* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  std::size_t size_, page_, mapped_ = 0;
  std::byte* base_ = nullptr;
  T* data_ = nullptr;
};

}  // namespace pixeldp::tests
