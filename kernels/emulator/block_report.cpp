#include <bit>
#include <cstdlib>

#include "engine/error.hpp"
#include "kernels/emulator/cluster.hpp"

/// What a block says of its mistakes.
namespace pixeldp::emulator {
namespace {

std::string lane_ranges(unsigned lanes) {
  std::string text;
  for (int first = 0; first < 32; ++first) {
    if (!(lanes >> first & 1)) continue;
    int last = first;
    while (last < 31 && lanes >> (last + 1) & 1) ++last;
    text += fmt::format("{}{}", text.empty() ? "" : ",", first);
    if (last > first) text += fmt::format("-{}", last);
    first = last;
  }
  return text;
}

}  // namespace

std::string describe(const Location& location) {
  std::string_view file = location.file_name();
  file.remove_prefix(file.rfind('/') + 1);
  return fmt::format("{}:{}", file, location.line());
}

std::string Block::place() const {
  return fmt::format("kernel {} (launched at {}), block ({},{},{}) of ({},{},{})", launch_->name,
                     describe(launch_->where), blockIdx.x, blockIdx.y, blockIdx.z, gridDim.x,
                     gridDim.y, gridDim.z);
}

void Block::report(const std::string& text) const {
  fail("{}, thread ({},{},{}): {}", place(), threadIdx.x, threadIdx.y, threadIdx.z, text);
}

/// The compiler takes it that nothing is thrown where memory is accessed.
void Block::refuse_access(unsigned thread, const std::string& text) {
  threadIdx = threads_[thread].index;
  try {
    report(text);
  } catch (...) {
    error_ = std::current_exception();
  }
  running_thread().context.switch_to(scheduler_, true);
  std::abort();
}

void Block::refuse_collision(unsigned thread, const void* address, std::size_t bytes, Access kind) {
  Block* const owner = cluster_.owner(address);
  if (owner == nullptr) return;
  if (owner != this)
    if (const std::string text = owner->peer_mistake(); !text.empty()) refuse_access(thread, text);
  const auto offset =
      static_cast<std::size_t>(static_cast<const std::byte*>(address) - owner->shared_);
  const std::string text = owner->async_.collision(offset, bytes, kind != Access::read);
  if (!text.empty()) refuse_access(thread, text);
}

std::string Block::peer_mistake() const {
  const auto accesses = [this](const char* when) {
    return fmt::format("it accesses the shared memory of block {} of its cluster {}", rank_, when);
  };
  if (finished()) return accesses("after that has returned");
  if (!current("an access to a peer").met_cluster_)
    return accesses("before its block has waited for the cluster's barrier, so that may not run");
  return {};
}

void Block::note_async(unsigned thread, const void* address, std::size_t bytes, Access kind) {
  if (!checks_ || check_.check(number_in_cluster(thread), address, bytes, kind, Proxy::async))
    return;
  threadIdx = threads_[thread].index;
  report(check_.describe());
}

std::string Block::describe_waiting(bool& some_finished) const {
  std::string text;
  for (unsigned w = 0; w < warp_count_; ++w) {
    const Warp& warp = warps_[w];
    std::string line;
    const auto add = [&](unsigned lanes, const std::string& state) {
      if (lanes)
        line += fmt::format("{} lanes {} {}", line.empty() ? "" : ";", lane_ranges(lanes), state);
    };
    const unsigned unmasked = warp.at_barrier | warp.asleep;
    for (unsigned waiting = unmasked | warp.in_operation; waiting;) {
      const Thread& leader =
          threads_[w * warp_lanes + static_cast<unsigned>(std::countr_zero(waiting))];
      unsigned alike = 0;
      for (unsigned rest = waiting; rest; rest &= rest - 1) {
        const int lane = std::countr_zero(rest);
        const Thread& thread = threads_[w * warp_lanes + static_cast<unsigned>(lane)];
        if (thread.what == leader.what && thread.where.line() == leader.where.line() &&
            (unmasked >> lane & 1 || thread.mask == leader.mask))
          alike |= 1u << lane;
      }
      add(alike,
          fmt::format("wait in {} at {}{}", leader.what, describe(leader.where),
                      (alike & unmasked) != 0 ? "" : fmt::format(" with mask {:#x}", leader.mask)));
      waiting &= ~alike;
    }
    add(warp.finished, "have returned");
    some_finished = some_finished || warp.finished != 0;
    text += fmt::format("\n  warp {}:{}", w, line);
  }
  return text + async_.describe_barriers();
}

void Block::check_shared(const void* address, std::size_t bytes, std::size_t alignment,
                         const char* what) const {
  const auto offset = static_cast<const std::byte*>(address) - shared_;
  const auto limit = static_cast<std::ptrdiff_t>(launch_->shared_bytes);
  if (offset < 0 || offset + static_cast<std::ptrdiff_t>(bytes) > limit) {
    report(
        fmt::format("{}: {} bytes at offset {} do not lie in the block's {} bytes of shared "
                    "memory",
                    what, bytes, offset, limit));
  }
  if (offset % static_cast<std::ptrdiff_t>(alignment) != 0)
    report(fmt::format("{}: offset {} in shared memory is not a multiple of {}", what, offset,
                       alignment));
}

}  // namespace pixeldp::emulator
