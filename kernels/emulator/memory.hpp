#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <string>

/// The memory of the imitated device: ordinary memory with guard zones, and a list of what is live.
namespace pixeldp::emulator {

class Memory {
 public:
  enum class Owner { device, host };

  /// Only the device's is ever guarded (Settings::guard_memory).
  explicit Memory(Owner owner) : owner_(owner) {}

  /// New memory, aligned to 256 bytes; all bytes are 0xFF (not a number), but zero in arrays of
  /// more than a gigabyte, which take memory only where they are touched. Null when there is none.
  void* allocate(std::size_t bytes);

  /// Empty when all is well; else what is wrong: not the beginning of a live allocation, or a guard
  /// zone that was written to (the memory is then released all the same).
  std::string release(void* address);

  /// True when all the bytes lie in one live allocation. (No bytes lie anywhere.)
  bool contains(const void* address, std::size_t bytes) const;
  /// True when the address lies in a live allocation.
  bool owns(const void* address) const;
  /// "400 bytes at offset 8 of allocation 3 of 100 bytes of device memory".
  std::string describe(const void* address, std::size_t bytes) const;

  /// While open, the processor may touch what is guarded (Settings::guard_memory). Nests.
  void open();
  void close() noexcept;

  /// Allocations made so far; the latest one has this number.
  std::size_t allocations() const;
  std::size_t live_allocations() const;
  std::size_t live_bytes() const;

  /// Throws an Error that begins with `where` when something wrote outside the allocations. Under
  /// AddressSanitizer the write itself is reported instead.
  void check_guards(const std::function<std::string()>& where) const;

 private:
  struct Allocation {
    std::size_t bytes = 0;
    std::size_t number = 0;  // counted from 1, in the order of allocation
    bool guarded = false;
  };
  using Map = std::map<const std::byte*, Allocation>;

  const char* kind() const { return owner_ == Owner::device ? "device" : "pinned host"; }
  /// The allocation that begins at or before the address; end() when there is none.
  Map::const_iterator below(const void* address) const;
  std::string damage(const Map::value_type& entry) const;
  void allow_access(const Map::value_type& entry, bool allowed) const;

  Owner owner_;
  mutable std::recursive_mutex mutex_;
  Map live_;
  std::size_t allocated_ = 0;
  int opened_ = 0;
};

Memory& device_memory();

/// Opens the device's memory for one scope.
class DeviceMemoryAccess {
 public:
  DeviceMemoryAccess() { device_memory().open(); }
  ~DeviceMemoryAccess() { device_memory().close(); }
  DeviceMemoryAccess(const DeviceMemoryAccess&) = delete;
  DeviceMemoryAccess& operator=(const DeviceMemoryAccess&) = delete;
};

/// Pinned memory of the host.
Memory& host_memory();

}  // namespace pixeldp::emulator
