#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/emulator/access_check.hpp"
#include "kernels/emulator/async_state.hpp"
#include "kernels/emulator/dialect.hpp"
#include "kernels/emulator/fiber.hpp"
#include "kernels/emulator/settings.hpp"

/// The threads of one block, and what they wait for.
///
/// A thread runs until it must wait: at __syncthreads, in a warp-wide operation, at its end. Then
/// the schedule in force chooses the next one. When none can run and not all have finished, the
/// block hangs, as it would (at best) on a GPU, and an Error tells who waits where.
///
/// Stricter than the hardware, as the CUDA C++ Programming Guide demands: every thread of a block
/// must come to the same __syncthreads; one that has returned is missed. A warp-wide operation, in
/// contrast, waits only for those of the threads named in its mask that have not returned.
///
/// The blocks of a cluster take turns as well (cluster.hpp).
namespace pixeldp::emulator {

using Location = std::source_location;

/// Vigna's splitmix64: a generator that any seed starts well.
constexpr std::uint64_t next_random(std::uint64_t& state) {
  std::uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

/// "gemm.cu:57", without folders.
std::string describe(const Location& location);

struct KernelLaunch {
  std::string_view name;
  Location where;
  dim3 grid, block;
  std::size_t shared_bytes = 0;
  unsigned cluster = 1;          ///< blocks that run together, neighbours in x
  std::function<void()> thread;  ///< what each thread does
};

/// Runs all blocks of a grid, several at a time if the settings allow. Throws the Error of the
/// first block (in the order they start) in which a mistake was found.
void run_kernel(const KernelLaunch& launch);

/// Called once for all lanes of a warp-wide operation, when the last of them has arrived. `lanes`
/// holds 32 pointers to what each gave, null where `present` has no bit.
using WarpOperation = void (*)(void* const* lanes, unsigned present);

class Cluster;

class Block {
 public:
  static constexpr int warp_lanes = 32, max_threads = 1024, max_warps = max_threads / warp_lanes;

  /// memory: its shared memory, with guard_bytes in front and behind.
  Block(Cluster& cluster, unsigned rank, std::byte* memory);
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  /// In front of shared memory and behind it.
  static constexpr std::size_t guard_bytes = 1024;

  // For the cluster, whose block has this index and number in the grid: it begins, lets one of its
  // threads run (false where none can), ends.
  void begin(const KernelLaunch& launch, uint3 index, std::uint64_t number);
  bool step();
  void end();
  /// Whether all threads have returned.
  bool finished() const { return unfinished_ == 0; }
  unsigned threads() const { return thread_count_; }
  /// Lands one of the copies that are under way; false when there is none.
  bool land_copy();
  /// It is the one that runs, or no block does.
  void enter();
  static Block* exchange_running(Block* block);
  /// What its threads wait for, a line for each warp; `some_finished` where some have returned.
  std::string describe_waiting(bool& some_finished) const;
  /// Whether all that have not returned wait at __syncthreads.
  bool waits_at_barrier() const { return unfinished_ > 0 && waiting_at_barrier_ == unfinished_; }

  /// The block whose thread is running. Fails outside a kernel.
  static Block& current(const char* what);

  // For the running thread:
  void synchronize(const Location& where);
  void together(unsigned mask, const char* what, WarpOperation operation, void* operand,
                const Location& where);
  unsigned lane() const { return running_ % warp_lanes; }
  unsigned linear_thread() const { return running_; }

  /// What goes on beside the threads.
  AsyncState& async() { return async_; }
  Cluster& cluster() { return cluster_; }
  unsigned rank() const { return rank_; }
  /// Of a thread, counted through whole warps of all blocks of the cluster.
  unsigned number_in_cluster(unsigned thread) const {
    return rank_ * warp_count_ * warp_lanes + thread;
  }
  /// cluster.hpp says when it is a mistake that the running thread, of another block, accesses this
  /// one's shared memory; empty where it is none.
  std::string peer_mistake() const;
  // barrier.cluster, of the running thread.
  void arrive_at_cluster();
  void wait_for_cluster(const Location& where);
  /// Whether all lanes of this warp exist.
  bool has_warp(unsigned warp) const { return warp * warp_lanes + warp_lanes <= thread_count_; }
  /// Until wake() the running thread is not chosen.
  void sleep(const char* what, const Location& where);
  void wake(unsigned thread);

  /// Memory of the running thread's warp is in order: it has come to a __syncwarp.
  void order_warp() {
    if (checks_) check_.order_warp(number_in_cluster(running_) / warp_lanes);
  }
  // The same of the running thread and whom it meets at an mbarrier (AccessCheck).
  void release_to(AccessClock& clock) {
    if (checks_) check_.release(number_in_cluster(running_), clock);
  }
  void acquire_from(const AccessClock& clock) {
    if (checks_) check_.acquire(number_in_cluster(running_), clock);
  }
  void end_products(unsigned warp) {
    if (checks_) check_.end_products(number_in_cluster(0) / warp_lanes + warp);
  }
  void fence_proxy() {
    if (checks_) check_.fence_proxy(number_in_cluster(running_));
  }
  /// The running thread's time; 0 where accesses are not checked.
  std::uint16_t mark() { return checks_ ? check_.mark() : std::uint16_t{0}; }
  /// Holds an access of the running thread (or another, by number) to memory against those of the
  /// others, if the settings say so. When it is a mistake this never returns: the thread ends here,
  /// and the launch fails.
  void note_access(const void* address, std::size_t bytes, Access kind) {
    note_access(running_, address, bytes, kind);
  }
  void note_access(unsigned thread, const void* address, std::size_t bytes, Access kind) {
    if (!checks_) return;
    if (async_.busy() || cluster_blocks_ > 1) refuse_collision(thread, address, bytes, kind);
    if (!check_.check(number_in_cluster(thread), address, bytes, kind))
      refuse_access(thread, check_.describe());
  }
  /// The same for what goes on beside a thread; throws where it is a mistake.
  void note_async(unsigned thread, const void* address, std::size_t bytes, Access kind);
  /// Ends the thread, and fails the launch, with the place of the thread in front.
  [[noreturn]] void refuse_access(unsigned thread, const std::string& text);

  std::byte* shared() const { return shared_; }
  std::size_t shared_bytes() const;
  /// Fails unless the bytes lie in shared memory and are aligned.
  void check_shared(const void* address, std::size_t bytes, std::size_t alignment,
                    const char* what) const;
  /// Fails with the place of the running thread in front.
  [[noreturn]] void report(const std::string& text) const;
  /// "kernel ... block (0,0,0) of (1,1,1)".
  std::string place() const;

  /// An asynchronous copy: its target holds 0xFF bytes until the thread waits for the group.
  void start_copy(void* target, const void* source, std::size_t bytes, std::size_t source_bytes);
  void commit_copies() { ++running_thread().groups; }
  /// Delivers all but the latest `pending` committed groups.
  void wait_copies(std::uint64_t pending);
  /// Delivers everything, committed or not.
  void wait_all_copies();

  /// Counts one access of the running thread to shared memory for the tally of bank conflicts.
  void tally_access(const void* address, std::size_t bytes, const Location& where);

 private:
  struct Copy {
    std::byte* target;
    const std::byte* source;
    std::size_t bytes, source_bytes;
    std::uint64_t group;
  };
  struct BankAccess {
    unsigned line, column, occurrence;  // which access of the warp
    const char* file;
    unsigned thread;
    std::uintptr_t offset;
    std::size_t bytes;
  };
  struct Thread {
    Context context;
    uint3 index = {};
    // What it waits for, while it waits.
    const char* what = nullptr;
    Location where;
    unsigned mask = 0;
    WarpOperation operation = nullptr;
    void* operand = nullptr;
    // Its asynchronous copies, oldest first.
    std::vector<Copy> copies;
    std::uint64_t groups = 0;  // committed
    // At the cluster's barrier.
    std::uint64_t arrivals = 0, waits = 0;
  };
  struct Warp {
    unsigned existing = 0, runnable = 0, finished = 0, at_barrier = 0, in_operation = 0, asleep = 0;
  };

  static void thread_main();
  Thread& running_thread() { return threads_[running_]; }
  Warp& running_warp() { return warps_[running_ / warp_lanes]; }
  void suspend();
  int choose();
  void finish_thread();
  void complete_operations(unsigned warp);
  void release_barrier();
  void deliver(std::uint64_t groups);
  void guard_shared(bool raise);
  void tally_accesses();
  void refuse_collision(unsigned thread, const void* address, std::size_t bytes, Access kind);

  Cluster& cluster_;
  unsigned rank_, cluster_blocks_ = 1;
  uint3 index_ = {};
  StackArena stacks_;
  std::unique_ptr<Thread[]> threads_;
  std::byte* memory_ = nullptr;  // shared memory with its guard zones
  std::byte* shared_ = nullptr;
  AccessCheck& check_;
  bool checks_ = false, met_cluster_ = false;
  AsyncState async_{*this};
  Context scheduler_;
  const KernelLaunch* launch_ = nullptr;
  Warp warps_[max_warps];
  unsigned thread_count_ = 0, warp_count_ = 0, unfinished_ = 0, waiting_at_barrier_ = 0;
  unsigned running_ = 0;
  Schedule schedule_;
  std::uint64_t random_ = 0;
  std::exception_ptr error_;
  std::vector<BankAccess> accesses_;
};

/// The block that runs if its accesses are checked: what instrumented code asks at every access.
extern constinit thread_local Block* checked_block;

}  // namespace pixeldp::emulator
