#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/emulator/block.hpp"

/// The blocks of a cluster, which run together and reach each other's shared memory (sm_90).
/// Without clusters, a block is one of its own.
///
/// Its blocks take turns by the schedule in force, and a copy lands, in each block that it names on
/// its own, when no thread of any of them can go on, or at any time (Order::random).
///
/// barrier.cluster waits for all threads that have not returned. A block's shared memory may be
/// accessed by its peers once they have waited for that barrier, before which it may not run yet,
/// and until it returns: what they do must come before that, by a barrier or an mbarrier. It holds
/// 0xFF bytes afterwards.
namespace pixeldp::emulator {

class Cluster {
 public:
  /// That a launch may ask for on every device that has clusters.
  static constexpr unsigned most_blocks = 8;

  Cluster();
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  /// Runs the cluster of this number in the grid.
  void run(const KernelLaunch& launch, std::uint64_t number);

  AccessCheck& check() { return check_; }
  unsigned size() const { return size_; }
  Block& block(unsigned rank) { return *blocks_[rank]; }
  /// The block whose shared memory the address lies in; null where there is none.
  Block* owner(const void* address);
  /// Where something in the running block's shared memory lies in that of a peer. Fails where there
  /// is no such block.
  void* in_peer(void* address, unsigned rank, const char* what);
  /// The same block, by a thread that accesses it now: fails where it must not.
  Block& accessed(unsigned rank, const char* what);

  // The barrier; `arrivals` of the thread so far.
  void arrive(Block& block);
  bool try_wait(Block& block, std::uint64_t arrivals);
  void end_wait(Block& block);
  void thread_returns(std::uint64_t arrivals);

 private:
  template <class F>
  bool any_block(F f);
  void complete();
  [[noreturn]] void report_hang();

  std::byte* memory_ = nullptr;  // shared memory of each block, with its guard zones
  AccessCheck check_;
  std::vector<std::unique_ptr<Block>> blocks_;
  const KernelLaunch* launch_ = nullptr;
  unsigned size_ = 0, latest_ = 0;
  std::uint64_t random_ = 0;
  // The barrier: phases that are over, threads that have not returned, and those that have not come
  // to it in this phase.
  std::uint64_t phase_ = 0;
  unsigned alive_ = 0, missing_ = 0;
  AccessClock arrived_, completed_;
  std::vector<std::pair<unsigned, unsigned>> waiting_;  // rank and thread
};

}  // namespace pixeldp::emulator
