#include "kernels/emulator/block.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "engine/error.hpp"
#include "kernels/emulator/cluster.hpp"
#include "kernels/emulator/sanitizer.hpp"

namespace pixeldp::emulator {

constinit thread_local uint3 threadIdx = {0, 0, 0}, blockIdx = {0, 0, 0};
constinit thread_local dim3 blockDim, gridDim;
constinit thread_local Block* checked_block = nullptr;

namespace {

thread_local Block* running_block = nullptr;

constexpr int guard_value = 0xa5, poison_value = 0xff;

/// Position of the n-th set bit.
int nth_bit(unsigned bits, unsigned n) {
  for (; n > 0; --n) bits &= bits - 1;
  return std::countr_zero(bits);
}

}  // namespace

Block::Block(Cluster& cluster, unsigned rank, std::byte* memory)
    : cluster_(cluster),
      rank_(rank),
      threads_(std::make_unique<Thread[]>(max_threads)),
      memory_(memory),
      shared_(memory + guard_bytes),
      check_(cluster.check()) {}

Block& Block::current(const char* what) {
  if (running_block == nullptr) fail("{} was called outside a kernel", what);
  return *running_block;
}

std::size_t Block::shared_bytes() const { return launch_->shared_bytes; }

Block* Block::exchange_running(Block* block) { return std::exchange(running_block, block); }

void Block::enter() {
  running_block = this;
  checked_block = checks_ ? this : nullptr;
  blockIdx = index_;
}

void Block::begin(const KernelLaunch& launch, uint3 index, std::uint64_t number) {
  launch_ = &launch;
  cluster_blocks_ = launch.cluster;
  index_ = index;
  blockDim = launch.block;
  gridDim = launch.grid;
  schedule_ = settings().schedule;
  random_ = schedule_.seed;
  random_ = next_random(random_) ^ number;
  error_ = nullptr;
  accesses_.clear();
  checks_ = settings().check_accesses;
  met_cluster_ = false;
  thread_count_ = launch.block.x * launch.block.y * launch.block.z;
  async_.begin(thread_count_);
  warp_count_ = (thread_count_ + warp_lanes - 1) / warp_lanes;
  unfinished_ = thread_count_;
  waiting_at_barrier_ = 0;
  for (unsigned w = 0; w < warp_count_; ++w) {
    const unsigned lanes = std::min<unsigned>(thread_count_ - w * warp_lanes, warp_lanes);
    warps_[w] = {};
    warps_[w].existing = warps_[w].runnable = lanes == warp_lanes ? ~0u : (1u << lanes) - 1;
  }
  for (unsigned t = 0; t < thread_count_; ++t) {
    Thread& thread = threads_[t];
    thread.context = {};
    thread.context.begin(stacks_.stack(t), &Block::thread_main);
    thread.index = {t % blockDim.x, t / blockDim.x % blockDim.y, t / (blockDim.x * blockDim.y)};
    thread.copies.clear();
    thread.groups = thread.arrivals = thread.waits = 0;
  }
  running_ = thread_count_ - 1;
  guard_shared(true);
  enter();
}

/// Puts the guard zones around shared memory up and poisons what is between, or checks and removes
/// them.
void Block::guard_shared(bool raise) {
  const std::size_t bytes = launch_->shared_bytes;
  std::byte* const zones[] = {memory_, shared_ + bytes};
  if (raise) {
    std::memset(shared_, poison_value, bytes);
    for (std::byte* zone : zones) {
      std::memset(zone, guard_value, guard_bytes);
      poison(zone, guard_bytes);
    }
    return;
  }
  for (std::byte* zone : zones) unpoison(zone, guard_bytes);
  for (std::byte* zone : zones) {
    const std::byte* hit = std::find_if(zone, zone + guard_bytes,
                                        [](std::byte b) { return b != std::byte{guard_value}; });
    if (hit != zone + guard_bytes)
      fail("{}: something wrote to byte {} of {} bytes of shared memory", place(), hit - shared_,
           bytes);
  }
}

bool Block::step() {
  if (schedule_.order == Order::random && async_.copies() > 0 && next_random(random_) % 8 == 0)
    land_copy();
  const int next = choose();
  if (next < 0) return false;
  running_ = static_cast<unsigned>(next);
  threadIdx = threads_[running_].index;
  scheduler_.switch_to(threads_[running_].context);
  if (error_) std::rethrow_exception(error_);
  return true;
}

void Block::end() {
  async_.finish();
  if (checks_)
    if (const std::string text = check_.end_block(rank_); !text.empty())
      fail("{}: {}", place(), text);
  guard_shared(false);
  // Who reads it now is late.
  if (cluster_blocks_ > 1) std::memset(shared_, poison_value, launch_->shared_bytes);
  tally_accesses();
}

/// Number of the next thread to run; -1 when all wait.
int Block::choose() {
  const auto first_of = [&](unsigned w, unsigned lanes) {
    return static_cast<int>(w * warp_lanes) + std::countr_zero(lanes);
  };
  switch (schedule_.order) {
    case Order::first_warp:
      for (unsigned w = 0; w < warp_count_; ++w)
        if (warps_[w].runnable) return first_of(w, warps_[w].runnable);
      return -1;
    case Order::last_warp:
      for (unsigned w = warp_count_; w-- > 0;)
        if (warps_[w].runnable)
          return static_cast<int>(w * warp_lanes) + 31 - std::countl_zero(warps_[w].runnable);
      return -1;
    case Order::random: {
      unsigned count = 0;
      for (unsigned w = 0; w < warp_count_; ++w)
        count += static_cast<unsigned>(std::popcount(warps_[w].runnable));
      if (count == 0) return -1;
      auto n = static_cast<unsigned>(next_random(random_) % count);
      for (unsigned w = 0;; ++w) {
        const auto here = static_cast<unsigned>(std::popcount(warps_[w].runnable));
        if (n < here) return static_cast<int>(w * warp_lanes) + nth_bit(warps_[w].runnable, n);
        n -= here;
      }
    }
    case Order::round_robin:
      break;
  }
  const unsigned start = (running_ + 1) % (warp_count_ * warp_lanes);
  const unsigned later = warps_[start / warp_lanes].runnable & ~0u << start % warp_lanes;
  if (later) return first_of(start / warp_lanes, later);
  for (unsigned i = 1; i <= warp_count_; ++i) {
    const unsigned w = (start / warp_lanes + i) % warp_count_;
    if (warps_[w].runnable) return first_of(w, warps_[w].runnable);
  }
  return -1;
}

bool Block::land_copy() {
  const std::size_t copies = async_.copies();
  if (copies == 0) return false;
  std::size_t copy = schedule_.order == Order::last_warp ? copies - 1 : 0;
  if (schedule_.order == Order::random) copy = next_random(random_) % copies;
  async_.land(copy);
  return true;
}

void Block::thread_main() {
  Block& block = *running_block;
  Context::arrived(block.scheduler_);
  try {
    block.launch_->thread();
    block.finish_thread();
  } catch (...) {
    block.error_ = std::current_exception();
  }
  block.running_thread().context.switch_to(block.scheduler_, true);
}

void Block::finish_thread() {
  Warp& warp = running_warp();
  const unsigned bit = 1u << lane();
  warp.runnable &= ~bit;
  warp.finished |= bit;
  --unfinished_;
  cluster_.thread_returns(running_thread().arrivals);
  complete_operations(running_ / warp_lanes);
}

void Block::arrive_at_cluster() {
  Thread& thread = running_thread();
  if (thread.arrivals != thread.waits)
    report("barrier.cluster.arrive: it has arrived and not waited since");
  ++thread.arrivals;
  cluster_.arrive(*this);
}

void Block::wait_for_cluster(const Location& where) {
  constexpr const char* what = "barrier.cluster.wait";
  Thread& thread = running_thread();
  if (thread.arrivals == thread.waits) report(fmt::format("{}: it has not arrived", what));
  while (!cluster_.try_wait(*this, thread.arrivals)) sleep(what, where);
  ++thread.waits;
  met_cluster_ = true;
  cluster_.end_wait(*this);
}

void Block::suspend() { running_thread().context.switch_to(scheduler_); }

void Block::sleep(const char* what, const Location& where) {
  Warp& warp = running_warp();
  const unsigned bit = 1u << lane();
  warp.runnable &= ~bit;
  warp.asleep |= bit;
  running_thread().what = what;
  running_thread().where = where;
  suspend();
}

void Block::wake(unsigned thread) {
  Warp& warp = warps_[thread / warp_lanes];
  const unsigned bit = 1u << thread % warp_lanes;
  warp.asleep &= ~bit;
  warp.runnable |= bit;
}

void Block::synchronize(const Location& where) {
  for (unsigned w = 0; waiting_at_barrier_ > 0 && w < warp_count_; ++w) {
    if (warps_[w].at_barrier == 0) continue;
    const unsigned other =
        w * warp_lanes + static_cast<unsigned>(std::countr_zero(warps_[w].at_barrier));
    const Location& there = threads_[other].where;
    if (there.line() != where.line() || there.column() != where.column() ||
        std::strcmp(there.file_name(), where.file_name()) != 0)
      report(
          fmt::format("divergent __syncthreads: it came to {} while thread {} of the block waits "
                      "at {}",
                      describe(where), other, describe(there)));
    break;
  }
  Warp& warp = running_warp();
  const unsigned bit = 1u << lane();
  warp.runnable &= ~bit;
  warp.at_barrier |= bit;
  running_thread().what = "__syncthreads";
  running_thread().where = where;
  if (++waiting_at_barrier_ == thread_count_) release_barrier();
  suspend();
}

void Block::release_barrier() {
  if (checks_) check_.order_block(rank_);
  waiting_at_barrier_ = 0;
  for (unsigned w = 0; w < warp_count_; ++w) {
    warps_[w].runnable |= warps_[w].at_barrier;
    warps_[w].at_barrier = 0;
  }
}

void Block::together(unsigned mask, const char* what, WarpOperation operation, void* operand,
                     const Location& where) {
  Warp& warp = running_warp();
  Thread* const lanes = &threads_[running_ / warp_lanes * warp_lanes];
  const unsigned bit = 1u << lane();
  if (!(mask & bit)) {
    report(fmt::format("{} at {}: mask {:#x} does not name the calling lane {}", what,
                       describe(where), mask, lane()));
  }
  for (unsigned others = warp.in_operation & mask; others; others &= others - 1) {
    const int other = std::countr_zero(others);
    const Thread& thread = lanes[other];
    if ((thread.mask & bit) && (thread.mask != mask || thread.operation != operation ||
                                std::strcmp(thread.what, what) != 0)) {
      report(fmt::format(
          "{} at {} with mask {:#x}: lane {}, which the mask names, waits in {} at {} "
          "with mask {:#x}",
          what, describe(where), mask, other, thread.what, describe(thread.where), thread.mask));
    }
  }
  Thread& self = running_thread();
  self.what = what;
  self.where = where;
  self.mask = mask;
  self.operation = operation;
  self.operand = operand;
  warp.runnable &= ~bit;
  warp.in_operation |= bit;
  complete_operations(running_ / warp_lanes);
  suspend();
}

/// Carries out the operations of one warp for which all lanes are there.
void Block::complete_operations(unsigned w) {
  Warp& warp = warps_[w];
  const unsigned gone = warp.finished | ~warp.existing;
  for (unsigned waiting = warp.in_operation; waiting;) {
    const Thread& leader =
        threads_[w * warp_lanes + static_cast<unsigned>(std::countr_zero(waiting))];
    const unsigned present = leader.mask & ~gone;
    waiting &= waiting - 1;
    if ((warp.in_operation & present) != present) continue;
    void* operands[warp_lanes] = {};
    bool agree = true;
    for (unsigned rest = present; rest; rest &= rest - 1) {
      const int lane = std::countr_zero(rest);
      const Thread& thread = threads_[w * warp_lanes + static_cast<unsigned>(lane)];
      agree = agree && thread.mask == leader.mask && thread.operation == leader.operation;
      operands[lane] = thread.operand;
    }
    if (!agree) continue;
    leader.operation(operands, present);
    warp.in_operation &= ~present;
    warp.runnable |= present;
    waiting &= ~present;
  }
}

}  // namespace pixeldp::emulator
