#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/emulator/arena.hpp"
#include "kernels/emulator/dialect.hpp"

/// Holds every load and store of a kernel against those of the other threads. Two of one address,
/// one of them a write, that nothing orders are a race, whatever this run made of it; and none may
/// lie beside the arrays that were allocated.
///
/// Only what CUDA promises orders accesses: __syncthreads those of a block, __syncwarp those of a
/// warp (of the whole warp whatever its mask, lest a right kernel is accused), the end of a kernel
/// all of them; who saw a phase of an mbarrier completed comes after those who arrived there, and
/// after what those came after. So does who waited for the barrier of a cluster, whose blocks'
/// threads are told apart by their number in the cluster. Shuffles, votes and matrix instructions
/// order nothing, and blocks of different clusters have no order. What bulk copies write and
/// warpgroup products read (the asynchronous proxy) must come after the ordinary writes there, and
/// after a fence.proxy.async of the thread that made them.
///
/// Words of two bytes are told apart: no kernel has an array of single bytes.
namespace pixeldp::emulator {

enum class Access { read, write, atomic };

/// By loads and stores, or by what goes on beside the threads.
enum class Proxy { generic, async };

/// Up to which time the accesses of each thread are known to somebody.
using AccessClock = std::vector<std::uint16_t>;

/// What the clusters need (of one block, most of them) that one thread of the operating system
/// runs, one after the other. While accesses are checked there is only one such thread.
///
/// Threads have the numbers of Block::number_in_cluster; each block begins with a new warp.
class AccessCheck {
 public:
  static constexpr unsigned most_threads = 8192;

  /// memory: the shared memory of block after block, each with `guard` bytes in front and behind
  /// that belong to nobody, and `capacity` between them.
  AccessCheck(const std::byte* memory, std::size_t capacity, std::size_t guard)
      : memory_(memory), stride_(capacity + 2 * guard), guard_(guard), arena_(arena()) {}

  /// A kernel begins, after all earlier ones, of which so many clusters run from number `first` on.
  static void begin_launch(std::uint64_t first, std::uint64_t clusters);
  /// Device memory is given back.
  static void forget(const std::byte* begin, std::size_t bytes);
  void begin_cluster(std::uint64_t number, unsigned blocks, dim3 grid, dim3 block,
                     std::size_t shared_bytes);

  /// All threads of a block, or of a warp, have come to a barrier.
  void order_block(unsigned rank);
  void order_warp(unsigned warp) { warp_time_[warp] = pass(); }

  /// Whoever acquires the clock comes after what the thread has done, and has come after itself.
  void release(unsigned thread, AccessClock& clock);
  void acquire(unsigned thread, const AccessClock& clock);
  /// The products of a warp, which its first lane stands for, are over for all of its lanes.
  void end_products(unsigned warp);
  /// The present time of a thread, which release() would give away alone.
  std::uint16_t mark() { return static_cast<std::uint16_t>(pass()); }
  void fence_proxy(unsigned thread) { fence_time_[thread] = mark(); }
  /// Empty, or which access of another block to this one's shared memory nothing puts before the
  /// block's end.
  std::string end_block(unsigned rank) const;

  /// False when the access is a mistake: describe() tells which. What is neither shared nor device
  /// memory (local variables, constants) is nobody's business.
  bool check(unsigned thread, const void* address, std::size_t bytes, Access kind,
             Proxy proxy = Proxy::generic) {
    if (bytes == 0) return true;
    const std::size_t at =
        reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(memory_);
    if (at < blocks_ * stride_) {
      const std::size_t rank = blocks_ == 1 ? 0 : at / stride_;
      const std::size_t in_shared = at - rank * stride_ - guard_;
      if (in_shared < shared_bytes_ && bytes <= shared_bytes_ - in_shared) {
        if (rank != block_of(thread)) remote_[rank * threads_ + thread] = now();
        return check_words(shared_cells_.data(), at, address, bytes, {run_, 1}, thread, kind,
                           proxy);
      }
    } else {
      const std::size_t offset = arena_.offset(address);
      if (offset >= Arena::bytes) return true;
      if (arena_.in_array(offset, bytes))
        return check_words(device_cells, offset, address, bytes, {first_run, launch_runs}, thread,
                           kind, Proxy::generic);
    }
    mistake_ = {address, bytes, kind, Wrong::outside, {}, kind};
    return false;
  }

  /// "it reads 4 bytes at offset 8 of ..., which thread (3,0,0) wrote with no barrier in between".
  std::string describe() const;

 private:
  /// Who accessed a word last: one thread at one time, or several that nothing orders, of a warp, a
  /// cluster's blocks or a launch; then the thread and the time are the latest.
  enum class Scope { thread, warp, block, launch };
  struct Slot {
    std::uint64_t bits = 0;

    static Slot of(std::uint64_t run, std::uint64_t time, unsigned thread) {
      return {run << run_shift | time << time_shift | std::uint64_t{thread} << 4};
    }
    static constexpr int time_shift = 17, run_shift = 33;
    static constexpr std::uint64_t async_bit = 8;
    std::uint64_t run() const { return bits >> run_shift; }
    std::uint64_t time() const { return bits >> time_shift & 0xffff; }
    unsigned thread() const { return static_cast<unsigned>(bits >> 4 & (most_threads - 1)); }
    bool async() const { return (bits & async_bit) != 0; }
    bool atomic() const { return (bits & 4) != 0; }
    Scope scope() const { return static_cast<Scope>(bits & 3); }
  };
  struct Cell {
    Slot write, read;
  };
  enum class Wrong { race, outside, proxy };
  struct Mistake {
    const void* address;
    std::size_t bytes;
    Access kind;
    Wrong wrong;
    // Of a race:
    Slot earlier;
    Access earlier_kind;
  };
  /// The clusters whose accesses count: of device memory all of the launch, of shared memory one.
  struct Runs {
    std::uint64_t first, count;
    bool have(std::uint64_t run) const { return run - first < count; }
  };
  static constexpr std::uint64_t most_time = 0xffff;  // beyond, races go unnoticed
  static constexpr std::size_t chunk_bytes = 16;

  std::string describe_shared(const std::byte* address, std::size_t bytes) const;
  /// In the grid, of who is in a slot.
  std::uint64_t block_number(Slot slot) const;

  std::uint64_t pass() { return time_ < most_time ? time_++ : time_; }
  std::uint16_t now() const { return static_cast<std::uint16_t>(time_); }
  unsigned block_of(unsigned thread) const { return blocks_ == 1 ? 0 : thread / block_threads_; }
  std::uint16_t& known(unsigned thread, unsigned of) {
    return known_[std::size_t{thread} * threads_ + of];
  }
  std::uint16_t known(unsigned thread, unsigned of) const {
    return known_[std::size_t{thread} * threads_ + of];
  }

  /// Whether everything that the slot stands for was over before the thread's present access.
  bool is_over(Slot slot, Runs runs, unsigned thread) const {
    if (!runs.have(slot.run())) return true;
    if (slot.run() != run_ || slot.scope() == Scope::launch) return false;
    const unsigned block = block_of(thread);
    if (slot.time() <= block_time_[block] && block_of(slot.thread()) == block) return true;
    if (knows(thread, slot)) return true;
    switch (slot.scope()) {
      case Scope::thread:
        if (slot.thread() == thread) return true;
        [[fallthrough]];
      case Scope::warp:
        return slot.thread() / 32 == thread / 32 && slot.time() <= warp_time_[thread / 32];
      case Scope::block:
      case Scope::launch:
        break;
    }
    return false;
  }

  /// Whether mbarriers told the thread of what the slot, of this cluster, stands for: of several
  /// threads, of the last.
  bool knows(unsigned thread, Slot slot) const {
    return !known_.empty() && known(thread, slot.thread()) >= slot.time();
  }

  /// The latest read of a chunk of shared memory by products of another warp that is not over for
  /// the thread; a slot of no run where there is none.
  Slot product_under_way(unsigned thread, std::size_t chunk) const {
    const auto rank = static_cast<unsigned>(chunk * chunk_bytes / stride_);
    const std::uint64_t over = rank == block_of(thread) ? block_time_[rank] : 0;
    const unsigned first = rank * block_threads_ / 32, last = first + block_threads_ / 32;
    for (unsigned warp = first; warp < last && warp < product_reads_.size(); ++warp) {
      const std::vector<std::uint16_t>& reads = product_reads_[warp];
      if (reads.empty() || warp == thread / 32) continue;
      const std::uint64_t time = reads[chunk - rank * stride_ / chunk_bytes];
      if (time > over && time > known(thread, warp * 32)) return Slot::of(run_, time, warp * 32);
    }
    return {};
  }

  /// The slot for what it stands for and the access of `self` as well.
  Slot joined(Slot slot, Slot self, Runs runs) const {
    if (is_over(slot, runs, self.thread())) return self;
    Scope scope = Scope::launch;
    if (slot.run() == run_ && slot.scope() != Scope::launch)
      scope = slot.scope() == Scope::block || slot.thread() / 32 != self.thread() / 32
                  ? Scope::block
                  : Scope::warp;
    return {self.bits | static_cast<std::uint64_t>(scope)};
  }

  /// Whether the thread's access at this very time, or one that has to fear no more, was checked
  /// already: readers of several warps (lanes) with no barrier in between saw that all writes were
  /// over for their block (warp).
  bool is_known(Slot read, Slot self) const {
    if ((read.bits ^ self.bits) >> Slot::time_shift != 0) return false;
    if (!known_.empty() || blocks_ > 1)  // threads know different things
      return read.scope() == Scope::thread && read.thread() == self.thread();
    switch (read.scope()) {
      case Scope::thread:
        return read.thread() == self.thread();
      case Scope::warp:
        return read.thread() / 32 == self.thread() / 32;
      case Scope::block:
        return true;
      case Scope::launch:
        break;
    }
    return false;
  }

  bool check_words(Cell* cells, std::size_t offset, const void* address, std::size_t bytes,
                   Runs runs, unsigned thread, Access kind, Proxy proxy) {
    Slot self = Slot::of(run_, time_, thread);
    if (proxy == Proxy::async) self.bits |= Slot::async_bit;
    const auto race = [&](Slot earlier, Access earlier_kind) {
      mistake_ = {address, bytes, kind, Wrong::race, earlier, earlier_kind};
      return false;
    };
    for (std::size_t word = offset / 2; word <= (offset + bytes - 1) / 2; ++word) {
      Cell& cell = cells[word];
      if (kind == Access::read && is_known(cell.read, self)) continue;
      if (proxy == Proxy::async && !is_fenced(cell.write)) {
        mistake_ = {address, bytes, kind, Wrong::proxy, cell.write, Access::write};
        return false;
      }
      const Access last = cell.write.atomic() ? Access::atomic : Access::write;
      if (!is_over(cell.write, runs, thread) && !(kind == Access::atomic && last == kind))
        return race(cell.write, last);
      if (kind == Access::read) {
        if (proxy == Proxy::async)
          note_product_read(thread / 32, word / (chunk_bytes / 2));
        else
          cell.read = joined(cell.read, self, runs);
        continue;
      }
      if (!is_over(cell.read, runs, thread)) return race(cell.read, Access::read);
      if (cells == shared_cells_.data())
        if (const Slot read = product_under_way(thread, word / (chunk_bytes / 2)); read.run() != 0)
          return race(read, Access::read);
      cell.write = kind == Access::write ? self : joined(cell.write, {self.bits | 4}, runs);
    }
    return true;
  }

  /// Whether the asynchronous proxy sees what was written, once it comes after it.
  bool is_fenced(Slot write) const {
    return write.run() != run_ || write.async() || write.time() <= fence_time_[write.thread()];
  }

  /// Of the warp's own block.
  void note_product_read(unsigned warp, std::size_t chunk) {
    if (product_reads_.size() <= warp) product_reads_.resize(warp + 1);
    if (product_reads_[warp].empty()) product_reads_[warp].resize(stride_ / chunk_bytes);
    product_reads_[warp][chunk - block_of(warp * 32) * stride_ / chunk_bytes] = now();
  }

  static Cell* device_cells;
  /// The first cluster of the kernel that runs, counted through all launches, how many there are,
  /// and its number within the grid.
  static std::uint64_t first_run, launch_runs, first_number;

  const std::byte* memory_;
  std::size_t stride_, guard_, shared_bytes_ = 0;
  Arena& arena_;
  std::vector<Cell> shared_cells_;  ///< of all of `memory`
  std::uint64_t run_ = 0;           ///< the cluster: counted through all launches
  std::uint64_t time_ = 1;
  std::vector<std::uint64_t> block_time_ = {0}, warp_time_;
  unsigned blocks_ = 1, block_threads_ = 0, threads_ = 0;  ///< threads: with those of whole warps
  AccessClock known_;                      ///< the clocks of all threads, once an mbarrier was used
  std::vector<std::uint16_t> fence_time_;  ///< of each thread
  /// When each thread accessed the shared memory of each other block last, block by block.
  std::vector<std::uint16_t> remote_;
  /// When products of each warp, as its first lane, read each chunk of its block's shared memory
  /// last. (They are no part of the cells: several warps read the same, and each comes to its end
  /// on its own.)
  std::vector<std::vector<std::uint16_t>> product_reads_;
  dim3 grid_, block_;
  Mistake mistake_ = {};
};

}  // namespace pixeldp::emulator
