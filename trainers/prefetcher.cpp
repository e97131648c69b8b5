#include "trainers/prefetcher.hpp"

#include <utility>

#include "engine/error.hpp"

namespace pixeldp {

Prefetcher::Prefetcher(std::int64_t first, std::int64_t last, Prepare prepare)
    : last_(last), prepare_(std::move(prepare)), ready_(first), taken_(first), thread_([this] {
        work();
      }) {}

Prefetcher::~Prefetcher() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Prefetcher::work() {
  std::unique_lock lock(mutex_);
  while (ready_ < last_) {
    // The caller holds the batch of step taken_ - 1, so that only that of taken_ may be written.
    changed_.wait(lock, [&] { return stopped_ || ready_ <= taken_; });
    if (stopped_) return;
    const std::int64_t step = ready_;
    lock.unlock();
    try {
      prepare_(step, slots_[static_cast<std::size_t>(step % 2)]);
      lock.lock();
    } catch (...) {
      lock.lock();
      error_ = std::current_exception();
      changed_.notify_all();
      return;
    }
    ++ready_;
    changed_.notify_all();
  }
}

const TrainingBatch& Prefetcher::next() {
  std::unique_lock lock(mutex_);
  if (taken_ >= last_) fail("there is no batch after the last step, {}", last_ - 1);
  changed_.wait(lock, [&] { return ready_ > taken_ || error_; });
  if (ready_ == taken_) std::rethrow_exception(error_);
  const TrainingBatch& batch = slots_[static_cast<std::size_t>(taken_ % 2)];
  ++taken_;
  changed_.notify_all();
  return batch;
}

}  // namespace pixeldp
