#include "kernels/emulator/access_check.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "kernels/emulator/memory.hpp"

namespace pixeldp::emulator {
namespace {

std::string coordinates(std::uint64_t number, dim3 extent) {
  return fmt::format("({},{},{})", number % extent.x, number / extent.x % extent.y,
                     number / extent.x / extent.y);
}

/// "reads" or, of what happened earlier, "read".
std::string_view verb(Access kind, bool earlier) {
  switch (kind) {
    case Access::read:
      return earlier ? "read" : "reads";
    case Access::write:
      return earlier ? "wrote" : "writes";
    case Access::atomic:
      return earlier ? "changed atomically" : "changes atomically";
  }
  return "accesses";
}

}  // namespace

AccessCheck::Cell* AccessCheck::device_cells = nullptr;
std::uint64_t AccessCheck::first_run = 1, AccessCheck::launch_runs = 0,
              AccessCheck::first_number = 0;

void AccessCheck::begin_launch(std::uint64_t first, std::uint64_t blocks) {
  static std::size_t open = 0;
  static std::uint64_t next_run = 1;
  constexpr std::size_t cell_bytes = sizeof(Cell) / 2;  // for each byte of device memory
  if (device_cells == nullptr)
    device_cells = reinterpret_cast<Cell*>(reserve_addresses(Arena::bytes * cell_bytes));
  if (const std::size_t wanted = arena().open_bytes(); wanted > open) {
    open_addresses(reinterpret_cast<std::byte*>(device_cells) + open * cell_bytes,
                   (wanted - open) * cell_bytes);
    open = wanted;
  }
  first_run = next_run, launch_runs = blocks, first_number = first;
  next_run += blocks;
}

void AccessCheck::forget(const std::byte* begin, std::size_t bytes) {
  if (device_cells == nullptr || bytes < Arena::large_bytes) return;
  const std::size_t first = arena().offset(begin) / 2;
  drop_memory(reinterpret_cast<std::byte*>(device_cells + first), bytes / 2 * sizeof(Cell));
}

void AccessCheck::begin_block(std::uint64_t number, dim3 grid, dim3 block,
                              std::size_t shared_bytes) {
  shared_cells_.resize(capacity_ / 2);
  shared_bytes_ = shared_bytes;
  grid_ = grid, block_ = block;
  run_ = first_run + (number - first_number);
  time_ = 1, block_time_ = 0;
  std::fill(std::begin(warp_time_), std::end(warp_time_), 0);
  threads_ = block.x * block.y * block.z;
  known_.clear();
  for (auto& reads : product_reads_) reads.clear();
  std::fill(std::begin(fence_time_), std::end(fence_time_), std::uint16_t{0});
}

void AccessCheck::release(unsigned thread, AccessClock& clock) {
  known_.resize(std::size_t{threads_} * threads_);
  clock.resize(threads_);
  const unsigned warp = thread / 32;
  for (unsigned other = 0; other < threads_; ++other) {
    const std::uint64_t in_warp = other / 32 == warp ? warp_time_[warp] : 0;
    clock[other] = static_cast<std::uint16_t>(std::max<std::uint64_t>(
        {clock[other], known_[std::size_t{thread} * threads_ + other], in_warp}));
  }
  clock[thread] = mark();
}

void AccessCheck::acquire(unsigned thread, const AccessClock& clock) {
  known_.resize(std::size_t{threads_} * threads_);
  for (std::size_t other = 0; other < clock.size(); ++other) {
    std::uint16_t& known = known_[std::size_t{thread} * threads_ + other];
    known = std::max(known, clock[other]);
  }
}

void AccessCheck::end_products(unsigned warp) {
  known_.resize(std::size_t{threads_} * threads_);
  const std::uint16_t now = mark();
  for (unsigned lane = 1; lane < 32; ++lane)
    known_[std::size_t{warp * 32 + lane} * threads_ + warp * 32] = now;
}

std::string AccessCheck::describe() const {
  const auto& [address, bytes, kind, wrong, earlier, earlier_kind] = mistake_;
  const bool global = arena_.holds(address);
  const std::string where =
      global ? device_memory().describe(address, bytes)
             : fmt::format("{} bytes at offset {} of the block's {} bytes of shared memory", bytes,
                           static_cast<const std::byte*>(address) - shared_, shared_bytes_);
  if (wrong == Wrong::outside)
    return fmt::format("it {} outside of every array: {}", verb(kind, false), where);

  if (wrong == Wrong::proxy)
    return fmt::format("the asynchronous proxy {} {}, which thread {} {} with no fence.proxy.async",
                       verb(kind, false), where, coordinates(earlier.thread(), block_),
                       verb(earlier_kind, true));
  const bool other_block = earlier.run() != run_ || earlier.scope() == Scope::launch;
  std::string who;
  switch (earlier.scope()) {
    case Scope::thread:
      who = "thread " + coordinates(earlier.thread(), block_);
      break;
    case Scope::warp:
      who = fmt::format("threads of warp {}", earlier.thread() / 32);
      break;
    case Scope::block:
      who = "threads of several warps";
      break;
    case Scope::launch:
      who = "several blocks";
      break;
  }
  if (other_block && earlier.scope() != Scope::launch)
    who += " of block " + coordinates(earlier.run() - first_run + first_number, grid_);
  return fmt::format("a race: it {} {}, which {} {}, {}", verb(kind, false), where, who,
                     verb(earlier_kind, true),
                     other_block ? "and blocks have no order" : "with no barrier in between");
}

}  // namespace pixeldp::emulator
