#include "kernels/emulator/memory.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <sys/mman.h>

#include "engine/error.hpp"
#include "kernels/emulator/access_check.hpp"
#include "kernels/emulator/arena.hpp"
#include "kernels/emulator/sanitizer.hpp"
#include "kernels/emulator/settings.hpp"

namespace pixeldp::emulator {
namespace {

/// In front of each allocation and behind it; also the alignment that cudaMalloc promises.
constexpr std::size_t guard_bytes = Arena::unit;
constexpr int guard_value = 0xa5, poison_value = 0xff;
/// Larger allocations are not filled, so that tests may ask for arrays that no machine has.
constexpr std::size_t most_poisoned = std::size_t{1} << 30;

/// What the processor's protection is made of. Guarded allocations are whole pages.
constexpr std::size_t page_bytes = 4096;

std::size_t round_up(std::size_t bytes, std::size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

/// Belongs to nobody in front of an allocation and behind it: as much as that has itself, so that
/// an index too far by a row is none into the next.
std::size_t margin_bytes(std::size_t bytes) {
  return round_up(std::clamp<std::size_t>(bytes, guard_bytes, 64 * 1024), guard_bytes);
}

/// With both margins.
std::size_t block_bytes(std::size_t bytes, bool guarded) {
  return round_up(2 * margin_bytes(bytes) + bytes, guarded ? page_bytes : Arena::unit);
}

}  // namespace

void* Memory::allocate(std::size_t bytes) {
  const bool guarded = owner_ == Owner::device && settings().guard_memory;
  if (bytes > Arena::bytes) return nullptr;
  const std::size_t all = block_bytes(bytes, guarded);
  std::byte* const block = arena().take(all, guarded ? page_bytes : Arena::unit);
  if (block == nullptr) return nullptr;
  std::byte* const address = block + margin_bytes(bytes);
  unpoison(block, all);
  std::memset(address - guard_bytes, guard_value, guard_bytes);
  if (bytes <= most_poisoned) std::memset(address, poison_value, bytes);
  std::memset(address + bytes, guard_value, guard_bytes);
  poison(block, all);
  unpoison(address, bytes);
  arena().mark(address, bytes, true);
  const std::lock_guard lock(mutex_);
  const auto entry = live_.insert({address, {bytes, ++allocated_, guarded}}).first;
  if (guarded && opened_ == 0) allow_access(*entry, false);
  return address;
}

std::string Memory::release(void* address) {
  const std::lock_guard lock(mutex_);
  const auto entry = live_.find(static_cast<const std::byte*>(address));
  if (entry == live_.end()) {
    return owns(address)
               ? fmt::format("it is not the beginning of an allocation: {}", describe(address, 0))
               : fmt::format("it is not live {} memory (or was freed before)", kind());
  }
  const auto [bytes, number, guarded] = entry->second;
  if (guarded) allow_access(*entry, true);
  std::byte* const block = static_cast<std::byte*>(address) - margin_bytes(bytes);
  const std::size_t all = block_bytes(bytes, guarded);
  unpoison(block, all);
  const std::string text = damage(*entry);
  live_.erase(entry);
  arena().mark(static_cast<std::byte*>(address), bytes, false);
  poison(block, all);
  AccessCheck::forget(block, all);
  arena().give_back(block, all);
  return text;
}

Memory::Map::const_iterator Memory::below(const void* address) const {
  const auto above = live_.upper_bound(static_cast<const std::byte*>(address));
  return above == live_.begin() ? live_.end() : std::prev(above);
}

bool Memory::contains(const void* address, std::size_t bytes) const {
  if (bytes == 0) return true;
  const std::lock_guard lock(mutex_);
  const auto entry = below(address);
  if (entry == live_.end()) return false;
  const auto offset =
      static_cast<std::size_t>(static_cast<const std::byte*>(address) - entry->first);
  return offset <= entry->second.bytes && bytes <= entry->second.bytes - offset;
}

bool Memory::owns(const void* address) const { return contains(address, 1); }

std::string Memory::describe(const void* address, std::size_t bytes) const {
  const std::lock_guard lock(mutex_);
  auto entry = below(address);
  // In front of an allocation rather than far behind the one before.
  const auto* const byte = static_cast<const std::byte*>(address);
  const auto next = live_.upper_bound(byte);
  if (next != live_.end() &&
      (entry == live_.end() || next->first - byte < byte - (entry->first + entry->second.bytes)))
    entry = next;
  if (entry == live_.end())
    return fmt::format("{} bytes at {}, which is not live {} memory", bytes, address, kind());
  return fmt::format("{} bytes at offset {} of allocation {} of {} bytes of {} memory", bytes,
                     byte - entry->first, entry->second.number, entry->second.bytes, kind());
}

void Memory::allow_access(const Map::value_type& entry, bool allowed) const {
  const std::size_t bytes = entry.second.bytes;
  std::byte* const block = const_cast<std::byte*>(entry.first) - margin_bytes(bytes);
  if (::mprotect(block, block_bytes(bytes, true), allowed ? PROT_READ | PROT_WRITE : PROT_NONE) !=
      0)
    fail("the processor cannot guard {} memory: mprotect: {}", kind(), std::strerror(errno));
}

void Memory::open() {
  const std::lock_guard lock(mutex_);
  if (opened_++ > 0) return;
  for (const auto& entry : live_)
    if (entry.second.guarded) allow_access(entry, true);
}

void Memory::close() noexcept {
  const std::lock_guard lock(mutex_);
  if (--opened_ > 0) return;
  for (const auto& entry : live_)
    if (entry.second.guarded) allow_access(entry, false);
}

std::size_t Memory::allocations() const {
  const std::lock_guard lock(mutex_);
  return allocated_;
}

std::size_t Memory::live_allocations() const {
  const std::lock_guard lock(mutex_);
  return live_.size();
}

std::size_t Memory::live_bytes() const {
  const std::lock_guard lock(mutex_);
  std::size_t bytes = 0;
  for (const auto& entry : live_) bytes += entry.second.bytes;
  return bytes;
}

std::string Memory::damage(const Map::value_type& entry) const {
  const auto& [address, allocation] = entry;
  for (const std::byte* zone : {address - guard_bytes, address + allocation.bytes}) {
    const std::byte* hit = std::find_if(zone, zone + guard_bytes,
                                        [](std::byte b) { return b != std::byte{guard_value}; });
    if (hit != zone + guard_bytes) {
      return fmt::format("something wrote to byte {} of allocation {} of {} bytes of {} memory",
                         hit - address, allocation.number, allocation.bytes, kind());
    }
  }
  return {};
}

void Memory::check_guards(const std::function<std::string()>& where) const {
  if (address_sanitizer) return;
  const std::lock_guard lock(mutex_);
  for (const auto& entry : live_)
    if (const std::string text = damage(entry); !text.empty()) fail("{}: {}", where(), text);
}

Memory& device_memory() {
  static Memory memory(Memory::Owner::device);
  return memory;
}

Memory& host_memory() {
  static Memory memory(Memory::Owner::host);
  return memory;
}

}  // namespace pixeldp::emulator
