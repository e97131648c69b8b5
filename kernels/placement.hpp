#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace pixeldp::kernels {

/// Gives values places in one piece of memory; values that are needed at different times share it.
class Placement {
 public:
  /// A place for `bytes` bytes from step `first` to step `last`: the lowest that is free.
  std::int64_t take(std::int64_t bytes, std::size_t first, std::size_t last);
  /// Of the whole memory, in bytes.
  std::int64_t size() const { return size_; }

  static constexpr std::int64_t alignment = 64;

 private:
  struct Taken {
    std::int64_t begin, end;
    std::size_t first, last;
  };
  std::vector<Taken> taken_;
  std::int64_t size_ = 0;
};

}  // namespace pixeldp::kernels
