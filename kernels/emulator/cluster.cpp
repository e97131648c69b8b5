#include "kernels/emulator/cluster.hpp"

#include <cstdlib>
#include <new>

#include "engine/error.hpp"
#include "kernels/emulator/async.hpp"
#include "kernels/emulator/sanitizer.hpp"

namespace pixeldp::emulator {
namespace {

constexpr std::size_t stride = most_shared_bytes + 2 * Block::guard_bytes;
constexpr std::size_t all_bytes = Cluster::most_blocks * stride;

}  // namespace

Cluster::Cluster()
    : memory_(static_cast<std::byte*>(std::aligned_alloc(Block::guard_bytes, all_bytes))),
      check_(memory_, most_shared_bytes, Block::guard_bytes) {
  static_assert(most_blocks * Block::max_threads <= AccessCheck::most_threads);
  if (memory_ == nullptr) throw std::bad_alloc();
}

Cluster::~Cluster() {
  unpoison(memory_, all_bytes);
  std::free(memory_);
}

/// Asks block after block, in the order of the schedule, until f is true of one.
template <class F>
bool Cluster::any_block(F f) {
  const Order order = settings().schedule.order;
  unsigned first = 0;
  if (order == Order::round_robin) first = latest_ + 1;
  if (order == Order::random && size_ > 1)
    first = static_cast<unsigned>(next_random(random_) % size_);
  for (unsigned i = 0; i < size_; ++i) {
    const unsigned rank = order == Order::last_warp ? size_ - 1 - i : (first + i) % size_;
    Block& one = block(rank);
    if (one.finished()) continue;
    if (size_ > 1) one.enter();
    if (!f(one)) continue;
    latest_ = rank;
    return true;
  }
  return false;
}

void Cluster::run(const KernelLaunch& launch, std::uint64_t number) {
  Block* const outer = Block::exchange_running(nullptr);
  launch_ = &launch, size_ = launch.cluster, latest_ = size_ - 1;
  random_ = settings().schedule.seed;
  random_ = next_random(random_) ^ number;
  while (blocks_.size() < size_) {
    const auto rank = static_cast<unsigned>(blocks_.size());
    blocks_.push_back(std::make_unique<Block>(*this, rank, memory_ + rank * stride));
  }
  if (settings().check_accesses)
    check_.begin_cluster(number, size_, launch.grid, launch.block, launch.shared_bytes);
  phase_ = 0, alive_ = 0;
  arrived_.clear(), completed_.clear(), waiting_.clear();
  const auto leave = [&] {
    Block::exchange_running(outer);
    checked_block = nullptr;
  };
  try {
    for (unsigned rank = size_; rank-- > 0;) {
      const std::uint64_t at = number * size_ + rank;  // neighbours in x
      const dim3& grid = launch.grid;
      block(rank).begin(
          launch,
          {static_cast<unsigned>(at % grid.x), static_cast<unsigned>(at / grid.x % grid.y),
           static_cast<unsigned>(at / grid.x / grid.y)},
          at);
      alive_ += block(rank).threads();
    }
    missing_ = alive_;
    for (unsigned unfinished = size_; unfinished > 0;) {
      const bool went_on = any_block([&](Block& one) {
        if (!one.step()) return false;
        if (one.finished()) one.end(), --unfinished;
        return true;
      });
      if (!went_on && !any_block([](Block& one) { return one.land_copy(); })) report_hang();
    }
  } catch (...) {
    leave();
    unpoison(memory_, all_bytes);
    throw;
  }
  leave();
}

void Cluster::report_hang() {
  bool some_finished = false, at_barrier = true;
  std::string text, place;
  for (unsigned rank = 0; rank < size_; ++rank) {
    Block& one = block(rank);
    some_finished = some_finished || one.finished();
    if (one.finished()) continue;
    one.enter();
    at_barrier = at_barrier && one.waits_at_barrier();
    if (place.empty()) place = one.place();
    if (size_ > 1) text += fmt::format("\n  block {} of the cluster:", rank);
    text += one.describe_waiting(some_finished);
  }
  fail("{}: {}; no thread can go on{}", place,
       at_barrier && some_finished
           ? "divergent __syncthreads, which some threads returned without reaching"
           : "deadlock",
       text);
}

Block* Cluster::owner(const void* address) {
  const auto at = static_cast<std::size_t>(static_cast<const std::byte*>(address) - memory_);
  if (at >= size_ * stride) return nullptr;
  return at % stride - Block::guard_bytes < launch_->shared_bytes ? &block(at / stride) : nullptr;
}

void* Cluster::in_peer(void* address, unsigned rank, const char* what) {
  Block& running = Block::current(what);
  if (rank >= size_)
    running.report(fmt::format("{}: there is no block {} in a cluster of {}", what, rank, size_));
  running.check_shared(address, 0, 1, what);
  return block(rank).shared() + (static_cast<std::byte*>(address) - running.shared());
}

Block& Cluster::accessed(unsigned rank, const char* what) {
  Block& running = Block::current(what);
  Block& target = block(rank);
  if (&target != &running)
    if (const std::string text = target.peer_mistake(); !text.empty())
      running.report(fmt::format("{}: {}", what, text));
  return target;
}

// ---- The barrier

void Cluster::arrive(Block& one) {
  one.release_to(arrived_);
  --missing_;
  complete();
}

bool Cluster::try_wait(Block& one, std::uint64_t arrivals) {
  if (phase_ >= arrivals) return true;
  waiting_.emplace_back(one.rank(), one.linear_thread());
  return false;
}

void Cluster::end_wait(Block& one) { one.acquire_from(completed_); }

void Cluster::thread_returns(std::uint64_t arrivals) {
  --alive_;
  if (arrivals == phase_) --missing_;
  complete();
}

void Cluster::complete() {
  if (missing_ > 0 || alive_ == 0) return;
  ++phase_;
  missing_ = alive_;
  completed_ = arrived_;
  for (const auto& [rank, thread] : waiting_) block(rank).wake(thread);
  waiting_.clear();
}

// ---- The instructions

namespace {

Cluster& current_cluster(const char* what) {
  Block& block = Block::current(what);
  require_sm_90(block, what);
  return block.cluster();
}

}  // namespace

unsigned cluster_rank() { return Block::current("%cluster_ctarank").rank(); }
unsigned cluster_blocks() { return current_cluster("%cluster_nctarank").size(); }

void cluster_arrive() {
  constexpr const char* what = "barrier.cluster.arrive";
  require_sm_90(Block::current(what), what);
  Block::current(what).arrive_at_cluster();
}
void cluster_wait(const Location& where) {
  Block::current("barrier.cluster.wait").wait_for_cluster(where);
}

void* in_peer(void* shared, unsigned rank) {
  constexpr const char* what = "mapa";
  return current_cluster(what).in_peer(shared, rank, what);
}

void mbarrier_arrive_in_peer(std::uint64_t* barrier, unsigned rank) {
  constexpr const char* what = "mbarrier.arrive.shared::cluster";
  Cluster& cluster = current_cluster(what);
  void* const theirs = cluster.in_peer(barrier, rank, what);
  cluster.accessed(rank, what).async().arrive(theirs, 0, what);
}

void send_bytes(void* shared, std::uint32_t bytes, std::uint64_t* barrier, unsigned rank) {
  constexpr const char* what = "cp.async.bulk.shared::cluster.shared::cta";
  Cluster& cluster = current_cluster(what);
  void* const target = cluster.in_peer(shared, rank, what);
  void* const theirs = cluster.in_peer(barrier, rank, what);
  cluster.accessed(rank, what)
      .async()
      .start_copy_of_bytes(target, shared, bytes, theirs, &Block::current(what).async(), what);
}

void multicast_tensor_box(void* shared, const void* map, std::uint64_t* barrier,
                          const int* coordinates, int rank, unsigned blocks) {
  constexpr const char* what = "cp.async.bulk.tensor.multicast::cluster";
  Cluster& cluster = current_cluster(what);
  if (blocks == 0 || blocks > 0xffff)
    Block::current(what).report(fmt::format("{}: a mask of {:#x}", what, blocks));
  for (unsigned to = 0; blocks >> to != 0; ++to) {
    if ((blocks >> to & 1) == 0) continue;
    void* const target = cluster.in_peer(shared, to, what);
    void* const theirs = cluster.in_peer(barrier, to, what);
    cluster.accessed(to, what).async().start_copy(target, map, theirs, coordinates, rank);
  }
}

}  // namespace pixeldp::emulator
