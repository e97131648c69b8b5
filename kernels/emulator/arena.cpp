#include "kernels/emulator/arena.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <sys/mman.h>

#include "engine/error.hpp"

namespace pixeldp::emulator {
namespace {

/// Addresses are opened by so many.
constexpr std::size_t step_bytes = std::size_t{64} << 20;
constexpr std::size_t page_bytes = 4096;

std::byte* round_up(std::byte* address, std::size_t unit) {
  return address + -reinterpret_cast<std::uintptr_t>(address) % unit;
}

}  // namespace

std::byte* reserve_addresses(std::size_t bytes) {
  void* const begin =
      ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (begin == MAP_FAILED)
    fail("the emulator reserves {} bytes of addresses (without memory) and got none: {}", bytes,
         std::strerror(errno));
  return static_cast<std::byte*>(begin);
}

void open_addresses(std::byte* begin, std::size_t bytes) {
  if (::mprotect(begin, bytes, PROT_READ | PROT_WRITE) != 0)
    fail("no memory for the emulated device: mprotect: {}", std::strerror(errno));
}

void drop_memory(std::byte* begin, std::size_t bytes) {
  std::byte* const first = round_up(begin, page_bytes);
  const auto rest = bytes - static_cast<std::size_t>(first - begin);
  ::madvise(first, rest / page_bytes * page_bytes, MADV_DONTNEED);
}

Arena::Arena() : base_(reserve_addresses(bytes)), whole_(bytes / large_unit) {
  used_ = reinterpret_cast<std::uint16_t*>(reserve_addresses(bytes / unit * sizeof(*used_)));
  free_.emplace(base_, bytes);
}

std::byte* Arena::take(std::size_t size, std::size_t alignment) {
  if (size > bytes) return nullptr;
  size = (size + unit - 1) / unit * unit;
  const std::lock_guard lock(mutex_);
  for (auto range = free_.begin(); range != free_.end(); ++range) {
    const auto [begin, room] = *range;
    std::byte* const taken = round_up(begin, alignment);
    const auto before = static_cast<std::size_t>(taken - begin);
    if (before > room || size > room - before) continue;
    free_.erase(range);
    if (before > 0) free_.emplace(begin, before);
    if (before + size < room) free_.emplace(taken + size, room - before - size);
    const auto end = static_cast<std::size_t>(taken - base_) + size;
    if (end > open_) {
      const std::size_t more = (end - open_ + step_bytes - 1) / step_bytes * step_bytes;
      open_addresses(base_ + open_, more);
      open_addresses(reinterpret_cast<std::byte*>(used_ + open_ / unit),
                     more / unit * sizeof(*used_));
      open_ += more;
    }
    return taken;
  }
  return nullptr;
}

void Arena::give_back(std::byte* begin, std::size_t size) {
  size = (size + unit - 1) / unit * unit;
  if (size >= large_bytes) drop_memory(begin, size);
  const std::lock_guard lock(mutex_);
  const auto after = free_.lower_bound(begin);
  if (after != free_.end() && after->first == begin + size) {
    size += after->second;
    free_.erase(after);
  }
  const auto next = free_.lower_bound(begin);
  if (next != free_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == begin) {
      before->second += size;
      return;
    }
  }
  free_.emplace(begin, size);
}

void Arena::mark(const std::byte* begin, std::size_t size, bool exists) {
  for (std::size_t at = offset(begin), end = at + size; at < end;) {
    if (at % large_unit == 0 && end - at >= large_unit) {
      whole_[at / large_unit] = exists;
      at += large_unit;
    } else {
      used_[at / unit] = static_cast<std::uint16_t>(exists ? std::min(unit, end - at) : 0);
      at += unit;
    }
  }
}

Arena& arena() {
  static Arena instance;
  return instance;
}

}  // namespace pixeldp::emulator
