#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

#include "trainers/batch_source.hpp"

namespace pixeldp {

/// Prepares the batch of the next step in a thread of its own while the current one is trained on.
class Prefetcher {
 public:
  /// Fills the batch of a step. Called from the one thread, in the order of the steps.
  using Prepare = std::function<void(std::int64_t step, TrainingBatch& batch)>;

  /// For steps first ... last - 1, whose preparation begins at once.
  Prefetcher(std::int64_t first, std::int64_t last, Prepare prepare);
  /// Waits for the preparation in progress, if any; what is prepared is dropped.
  ~Prefetcher();
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  /// The batch of the next step, valid until the next call. Throws what its preparation threw, and
  /// an Error past the last step.
  const TrainingBatch& next();

 private:
  void work();

  const std::int64_t last_;
  const Prepare prepare_;
  std::array<TrainingBatch, 2> slots_;  // of step s: slots_[s % 2]
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by the mutex. Steps before ready_ have been prepared, those before taken_ handed out; a
  // slot is written while neither ready nor in the caller's hands.
  std::int64_t ready_, taken_;
  bool stopped_ = false;
  std::exception_ptr error_;
  std::thread thread_;  // last: it starts when all else is there
};

}  // namespace pixeldp
