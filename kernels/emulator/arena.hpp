#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

/// The addresses of the imitated device and of pinned memory: one range, reserved as a whole and
/// filled with memory as it is touched. Whatever address a kernel uses can be told at once: outside
/// the range, inside an array, or beside one.
namespace pixeldp::emulator {

class Arena {
 public:
  static constexpr std::size_t bytes = std::size_t{1} << 40;
  /// Arrays begin at multiples of this.
  static constexpr std::size_t unit = 256;
  /// From here on the system gets back the memory of what is given back.
  static constexpr std::size_t large_bytes = std::size_t{64} << 20;

  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// Room for `size` bytes, rounded up to whole units, at a multiple of `alignment`, which is a
  /// power of two, at least a unit. Null when there is none.
  std::byte* take(std::size_t size, std::size_t alignment);
  void give_back(std::byte* begin, std::size_t size);

  /// The array that begins at `begin` exists, or no longer does.
  void mark(const std::byte* begin, std::size_t size, bool exists);

  /// The arrays that there have been lie below.
  std::size_t open_bytes() const { return open_; }
  bool holds(const void* address) const { return offset(address) < bytes; }
  /// Beyond `bytes` for what lies outside.
  std::size_t offset(const void* address) const {
    return reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(base_);
  }
  /// Whether the bytes, which begin inside, belong to one array.
  bool in_array(std::size_t offset, std::size_t size) const {
    while (offset < open_) {
      const bool large = whole_[offset / large_unit];
      const std::size_t rest = large ? large_unit - offset % large_unit : unit - offset % unit;
      const std::size_t used = large ? rest : used_[offset / unit] - offset % unit;
      if (size <= rest)
        return static_cast<std::ptrdiff_t>(size) <= static_cast<std::ptrdiff_t>(used);
      if (used != rest) return false;
      offset += rest, size -= rest;
    }
    return false;
  }

 private:
  friend Arena& arena();
  Arena();

  std::byte* base_ = nullptr;
  /// Bytes of each unit that belong to an array, but for large units of which all belong to one.
  std::uint16_t* used_ = nullptr;
  static constexpr std::size_t large_unit = std::size_t{1} << 20;
  std::vector<char> whole_;
  std::mutex mutex_;
  std::map<std::byte*, std::size_t> free_;  ///< with their sizes; no two touch
  std::size_t open_ = 0;                    ///< bytes that may be accessed
};

Arena& arena();

/// Reserves addresses without memory. Throws an Error when there are none.
std::byte* reserve_addresses(std::size_t bytes);
/// Makes reserved addresses accessible; they hold zeros.
void open_addresses(std::byte* begin, std::size_t bytes);
/// Gives the memory of whole pages back to the system; they hold zeros again.
void drop_memory(std::byte* begin, std::size_t bytes);

}  // namespace pixeldp::emulator
