#pragma once

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace pixeldp {

/// Does something with items in a thread of its own, in their order, while the next ones are made.
template <class T>
class ConsumerThread {
 public:
  /// Takes all that has come since it was called last. Its first exception ends the thread's work.
  using Consume = std::function<void(std::vector<T> items)>;

  /// Holds at most `most` items that wait.
  ConsumerThread(std::size_t most, Consume consume)
      : most_(most), consume_(std::move(consume)), thread_([this] { work(); }) {}
  /// Waits until everything given is consumed, or something failed.
  ~ConsumerThread() { join(); }
  ConsumerThread(const ConsumerThread&) = delete;
  ConsumerThread& operator=(const ConsumerThread&) = delete;

  /// Waits while there are too many. Throws what the consumer threw.
  void push(T item) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_.size() < most_ || failure_; });
    if (failure_) std::rethrow_exception(failure_);
    waiting_.push_back(std::move(item));
    changed_.notify_all();
  }

  /// Waits until everything given is consumed; nothing can be given any more. Throws what the
  /// consumer threw.
  void finish() {
    join();
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return !waiting_.empty() || closed_; });
      if (waiting_.empty()) return;
      std::vector<T> items = std::exchange(waiting_, {});
      changed_.notify_all();
      lock.unlock();
      std::exception_ptr failure;
      try {
        consume_(std::move(items));
      } catch (...) {
        failure = std::current_exception();
      }
      lock.lock();
      if (!failure) continue;
      failure_ = failure;
      changed_.notify_all();
      return;
    }
  }

  void join() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  const std::size_t most_;
  const Consume consume_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by the mutex.
  std::vector<T> waiting_;
  bool closed_ = false;
  std::exception_ptr failure_;
  std::thread thread_;  // last: it starts when all else is there
};

}  // namespace pixeldp
