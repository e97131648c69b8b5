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

void AccessCheck::begin_launch(std::uint64_t first, std::uint64_t clusters) {
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
  first_run = next_run, launch_runs = clusters, first_number = first;
  next_run += clusters;
}

void AccessCheck::forget(const std::byte* begin, std::size_t bytes) {
  if (device_cells == nullptr || bytes < Arena::large_bytes) return;
  const std::size_t first = arena().offset(begin) / 2;
  drop_memory(reinterpret_cast<std::byte*>(device_cells + first), bytes / 2 * sizeof(Cell));
}

void AccessCheck::begin_cluster(std::uint64_t number, unsigned blocks, dim3 grid, dim3 block,
                                std::size_t shared_bytes) {
  blocks_ = blocks;
  block_threads_ = (block.x * block.y * block.z + 31) / 32 * 32;
  threads_ = blocks * block_threads_;
  if (shared_cells_.size() < blocks * stride_ / 2) shared_cells_.resize(blocks * stride_ / 2);
  shared_bytes_ = shared_bytes;
  grid_ = grid, block_ = block;
  run_ = first_run + (number - first_number);
  time_ = 1;
  block_time_.assign(blocks, 0);
  warp_time_.assign(threads_ / 32, 0);
  known_.clear();
  for (auto& reads : product_reads_) reads.clear();
  fence_time_.assign(threads_, 0);
  remote_.assign(blocks > 1 ? std::size_t{blocks} * threads_ : 0, 0);
}

void AccessCheck::order_block(unsigned rank) {
  block_time_[rank] = pass();
  if (blocks_ == 1 || known_.empty()) return;
  // What any of its threads knows of other blocks, all know now.
  const unsigned first = rank * block_threads_, last = first + block_threads_;
  for (unsigned of = 0; of < threads_; ++of) {
    if (of == first) of = last;
    if (of == threads_) break;
    std::uint16_t most = 0;
    for (unsigned thread = first; thread < last; ++thread) most = std::max(most, known(thread, of));
    for (unsigned thread = first; thread < last; ++thread) known(thread, of) = most;
  }
}

void AccessCheck::release(unsigned thread, AccessClock& clock) {
  known_.resize(std::size_t{threads_} * threads_);
  clock.resize(threads_);
  const unsigned warp = thread / 32, block = block_of(thread);
  for (unsigned other = 0; other < threads_; ++other) {
    const std::uint64_t in_warp = other / 32 == warp ? warp_time_[warp] : 0;
    const std::uint64_t in_block = block_of(other) == block ? block_time_[block] : 0;
    clock[other] = static_cast<std::uint16_t>(
        std::max<std::uint64_t>({clock[other], known(thread, other), in_warp, in_block}));
  }
  clock[thread] = mark();
}

void AccessCheck::acquire(unsigned thread, const AccessClock& clock) {
  known_.resize(std::size_t{threads_} * threads_);
  for (unsigned other = 0; other < clock.size(); ++other)
    known(thread, other) = std::max(known(thread, other), clock[other]);
}

void AccessCheck::end_products(unsigned warp) {
  known_.resize(std::size_t{threads_} * threads_);
  const std::uint16_t time = mark();
  for (unsigned lane = 1; lane < 32; ++lane) known(warp * 32 + lane, warp * 32) = time;
}

std::string AccessCheck::end_block(unsigned rank) const {
  const unsigned first = rank * block_threads_, last = first + block_threads_;
  for (unsigned other = 0; other < threads_ && !remote_.empty(); ++other) {
    const std::uint16_t time = remote_[std::size_t{rank} * threads_ + other];
    bool over = time == 0;
    for (unsigned thread = first; !over && !known_.empty() && thread < last; ++thread)
      over = known(thread, other) >= time;
    if (!over)
      return fmt::format(
          "it returned, and nothing says that accesses of thread {} of block {} of its cluster to "
          "its shared memory came before",
          coordinates(other % block_threads_, block_), block_of(other));
  }
  return {};
}

std::string AccessCheck::describe_shared(const std::byte* address, std::size_t bytes) const {
  const auto at = static_cast<std::size_t>(address - memory_);
  return fmt::format(
      "{} bytes at offset {} of {} {} bytes of shared memory", bytes,
      static_cast<std::ptrdiff_t>(at % stride_) - static_cast<std::ptrdiff_t>(guard_),
      blocks_ == 1 ? "the block's" : fmt::format("block {} of the cluster's", at / stride_),
      shared_bytes_);
}

std::uint64_t AccessCheck::block_number(Slot slot) const {
  return (slot.run() - first_run + first_number) * blocks_ + block_of(slot.thread());
}

std::string AccessCheck::describe() const {
  const auto& [address, bytes, kind, wrong, earlier, earlier_kind] = mistake_;
  const bool global = arena_.holds(address);
  const std::string where = global ? device_memory().describe(address, bytes)
                                   : describe_shared(static_cast<const std::byte*>(address), bytes);
  if (wrong == Wrong::outside)
    return fmt::format("it {} outside of every array: {}", verb(kind, false), where);

  if (wrong == Wrong::proxy)
    return fmt::format("the asynchronous proxy {} {}, which thread {} {} with no fence.proxy.async",
                       verb(kind, false), where,
                       coordinates(earlier.thread() % block_threads_, block_),
                       verb(earlier_kind, true));
  const bool other_cluster = earlier.run() != run_ || earlier.scope() == Scope::launch;
  std::string who;
  switch (earlier.scope()) {
    case Scope::thread:
      who = "thread " + coordinates(earlier.thread() % block_threads_, block_);
      break;
    case Scope::warp:
      who = fmt::format("threads of warp {}", earlier.thread() % block_threads_ / 32);
      break;
    case Scope::block:
      who = "threads of several warps";
      break;
    case Scope::launch:
      who = "several blocks";
      break;
  }
  if (earlier.scope() != Scope::launch && (other_cluster || blocks_ > 1))
    who += " of block " + coordinates(block_number(earlier), grid_);
  return fmt::format("a race: it {} {}, which {} {}, {}", verb(kind, false), where, who,
                     verb(earlier_kind, true),
                     other_cluster ? "and blocks have no order" : "with no barrier in between");
}

}  // namespace pixeldp::emulator
