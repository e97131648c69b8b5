#include <algorithm>
#include <cstring>

#include "engine/error.hpp"
#include "kernels/emulator/async.hpp"
#include "kernels/emulator/block.hpp"

namespace pixeldp::emulator {
namespace {

constexpr std::size_t barrier_bytes = 8;
/// Of arrivals and of bytes, by the manual ("mbarrier: supported ranges").
constexpr std::int64_t most_count = (1 << 20) - 1;

/// What the 64 bits of an mbarrier hold here, so that writing over one is noticed.
std::uint64_t stamp(std::size_t offset) { return 0x7265697272616273 ^ offset; }

}  // namespace

void require_sm_90(const Block& block, const char* what) {
  if (const kernels::Arch& arch = settings().arch; arch.capability < 90)
    block.report(fmt::format("{}: {} has no such instruction", what, arch.name()));
}

void AsyncState::begin(unsigned threads) {
  fences_.assign(threads, 0), cluster_fences_.assign(threads, 0);
  barriers_.clear();
  copies_.clear();
  for (Warp& warp : warps_) warp = {};
  products_ = 0, sent_ = 0;
  for (auto& started : started_) started.clear();
  std::fill(writers_.begin(), writers_.end(), std::uint16_t{0});
  std::fill(readers_.begin(), readers_.end(), std::uint16_t{0});
}

void AsyncState::finish() const {
  const auto wrong = [&](const std::string& text) {
    fail("{}: all threads have returned, but {}", block_.place(), text);
  };
  if (!copies_.empty()) wrong(fmt::format("{} bulk copies are under way", copies_.size()));
  if (sent_ > 0) wrong(fmt::format("{} copies from its shared memory are under way", sent_));
  for (const auto& [at, barrier] : barriers_)
    if (barrier.bytes != 0)
      wrong(fmt::format("the mbarrier at offset {} expects {} bytes that no copy brings", at,
                        barrier.bytes));
  for (unsigned w = 0; w < std::size(warps_); ++w) {
    const Warp& warp = warps_[w];
    if (!warp.products.empty())
      wrong(fmt::format("warp {} has not waited for {} products", w, warp.products.size()));
    if (warp.started != started_[w / 4].size())
      wrong(fmt::format("warp {} took part in {} products of {} of its warpgroup", w, warp.started,
                        started_[w / 4].size()));
  }
}

std::size_t AsyncState::offset(const void* address) const {
  return static_cast<std::size_t>(static_cast<const std::byte*>(address) - block_.shared());
}

AsyncState::Barrier& AsyncState::find(void* barrier, const char* what) {
  require_sm_90(block_, what);
  block_.check_shared(barrier, barrier_bytes, barrier_bytes, what);
  const std::size_t at = offset(barrier);
  const auto found = barriers_.find(at);
  if (found == barriers_.end())
    block_.report(fmt::format("{}: no mbarrier was initialised at offset {}", what, at));
  std::uint64_t bits = 0;
  std::memcpy(&bits, barrier, sizeof bits);
  if (bits != stamp(at))
    block_.report(fmt::format("{}: something wrote over the mbarrier at offset {}", what, at));
  return found->second;
}

void AsyncState::init_barrier(void* barrier, unsigned arrivals) {
  constexpr const char* what = "mbarrier.init";
  require_sm_90(block_, what);
  block_.check_shared(barrier, barrier_bytes, barrier_bytes, what);
  if (arrivals < 1 || arrivals > most_count)
    block_.report(fmt::format("{}: {} arrivals", what, arrivals));
  block_.note_access(barrier, barrier_bytes, Access::write);
  const std::size_t at = offset(barrier);
  Barrier made;
  made.expected = made.pending = arrivals;
  made.init_thread = block_.linear_thread();
  made.init_fences = fences_[made.init_thread];
  made.init_cluster_fences = cluster_fences_[made.init_thread];
  if (!barriers_.emplace(at, made).second)
    block_.report(fmt::format("{}: there is an mbarrier at offset {} already", what, at));
  const std::uint64_t bits = stamp(at);
  std::memcpy(barrier, &bits, sizeof bits);
}

void AsyncState::complete(Barrier& barrier) {
  if (barrier.pending > 0 || barrier.bytes != 0) return;
  ++barrier.phase;
  barrier.pending = barrier.expected;
  barrier.completed = barrier.arrived;
  for (const unsigned thread : barrier.waiting) block_.wake(thread);
  barrier.waiting.clear();
}

void AsyncState::arrive(void* barrier, std::uint32_t bytes, const char* what) {
  Barrier& b = find(barrier, what);
  Block& by = Block::current(what);
  if (&by != &block_) refuse_unfenced(b, barrier, what);
  by.note_access(barrier, barrier_bytes, Access::atomic);
  by.release_to(b.arrived);
  b.bytes += bytes;
  if (b.bytes > most_count)
    block_.report(fmt::format("{}: {} bytes are expected at once, and {} is the most", what,
                              b.bytes, most_count));
  if (b.pending == 0)
    block_.report(
        fmt::format("{}: the mbarrier at offset {} expects {} arrivals in a phase, and they "
                    "were there",
                    what, offset(barrier), b.expected));
  --b.pending;
  complete(b);
}

bool AsyncState::try_wait(void* barrier, unsigned parity) {
  Barrier& b = find(barrier, "mbarrier.try_wait");
  block_.note_access(barrier, barrier_bytes, Access::atomic);
  if ((b.phase & 1) != (parity & 1)) return true;
  b.waiting.push_back(block_.linear_thread());
  return false;
}

void AsyncState::end_wait(void* barrier) {
  block_.acquire_from(find(barrier, "mbarrier.try_wait").completed);
}

/// Peers find a barrier that was fenced for them.
void AsyncState::refuse_unfenced(const Barrier& barrier, void* address, const char* what) const {
  if (cluster_fences_[barrier.init_thread] == barrier.init_cluster_fences)
    block_.report(fmt::format(
        "{}: thread {} of block {} of the cluster initialised the mbarrier at offset {} "
        "with no fence.mbarrier_init behind it",
        what, barrier.init_thread, block_.rank(), offset(address)));
}

void AsyncState::fence_barrier_init() {
  require_sm_90(block_, "fence.mbarrier_init");
  ++cluster_fences_[block_.linear_thread()];
}

void AsyncState::fence_proxy() {
  require_sm_90(block_, "fence.proxy.async");
  ++fences_[block_.linear_thread()];
  block_.fence_proxy();
}

std::string AsyncState::describe_barriers() const {
  std::string text;
  for (const auto& [at, barrier] : barriers_)
    if (!barrier.waiting.empty())
      text += fmt::format("\n  mbarrier at offset {}: phase {} waits for {} arrivals and {} bytes",
                          at, barrier.phase, barrier.pending, barrier.bytes);
  return text;
}

// ---- The instructions

std::uint32_t shared_address(const void* address) {
  return static_cast<std::uint32_t>(static_cast<const std::byte*>(address) -
                                    Block::current("a shared address").shared()) +
         shared_window;
}

void mbarrier_init(std::uint64_t* barrier, unsigned arrivals) {
  Block::current("mbarrier.init").async().init_barrier(barrier, arrivals);
}
void mbarrier_arrive(std::uint64_t* barrier) {
  constexpr const char* what = "mbarrier.arrive";
  Block::current(what).async().arrive(barrier, 0, what);
}
void mbarrier_arrive_expect(std::uint64_t* barrier, std::uint32_t bytes) {
  constexpr const char* what = "mbarrier.arrive.expect_tx";
  Block::current(what).async().arrive(barrier, bytes, what);
}
void mbarrier_wait(std::uint64_t* barrier, unsigned parity, const Location& where) {
  Block& block = Block::current("mbarrier.try_wait");
  while (!block.async().try_wait(barrier, parity)) block.sleep("mbarrier.try_wait", where);
  block.async().end_wait(barrier);
}
void fence_mbarrier_init() { Block::current("fence.mbarrier_init").async().fence_barrier_init(); }
void fence_proxy_async() { Block::current("fence.proxy.async").async().fence_proxy(); }

}  // namespace pixeldp::emulator
