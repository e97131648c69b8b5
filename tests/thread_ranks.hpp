#pragma once

#include <condition_variable>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "engine/communicator.hpp"
#include "engine/error.hpp"

namespace pixeldp::tests {

/// Ranks that are threads of this process: what they send lies in memory until all have sent it.
class ThreadRanks {
 public:
  /// Calls work(communicator) in that many ranks, and waits for all.
  static void run(int size, const std::function<void(Communicator&)>& work) {
    ThreadRanks all(size);
    std::vector<std::thread> threads;
    for (int rank = 0; rank < size; ++rank)
      threads.emplace_back([&, rank] {
        Rank communicator(all, rank);
        work(communicator);
      });
    for (std::thread& thread : threads) thread.join();
  }

 private:
  enum class Kind { blocking, gather, exchange };
  /// A collective operation, one of those of its kind.
  struct Operation {
    std::vector<std::vector<std::byte>> sent;
    int arrived = 0;
  };

  class Rank : public Communicator {
   public:
    Rank(ThreadRanks& all, int rank) : all_(all), rank_(rank) {}
    int rank() const override { return rank_; }
    int size() const override { return all_.size_; }
    void barrier() override { all_gather(nullptr, 0, nullptr); }
    std::vector<int> meet(double) override {
      barrier();
      return {};
    }
    void broadcast(void* data, std::size_t bytes, int root) override {
      std::vector<std::byte> all(bytes * static_cast<std::size_t>(size()));
      all_gather(data, bytes, all.data());
      std::memcpy(data, all.data() + static_cast<std::size_t>(root) * bytes, bytes);
    }
    void all_gather(const void* mine, std::size_t bytes, void* all) override {
      begin(Kind::blocking, mine, bytes, bytes, 0, all)->wait();
    }
    void all_to_all(const void* mine, std::size_t bytes, void* theirs) override {
      const auto ranks = static_cast<std::size_t>(size()), own = static_cast<std::size_t>(rank_);
      begin(Kind::blocking, mine, bytes * ranks, bytes, bytes * own, theirs)->wait();
    }
    std::unique_ptr<Exchange> begin_all_gather(const void* mine, std::size_t bytes,
                                               void* all) override {
      return begin(Kind::gather, mine, bytes, bytes, 0, all);
    }
    std::unique_ptr<Exchange> begin_all_to_all(const void* mine, std::size_t bytes,
                                               void* theirs) override {
      const auto ranks = static_cast<std::size_t>(size()), own = static_cast<std::size_t>(rank_);
      return begin(Kind::exchange, mine, bytes * ranks, bytes, bytes * own, theirs);
    }
    void begin_claims() override { fail("these ranks claim nothing"); }
    std::int64_t claim() override { fail("these ranks claim nothing"); }
    void end_claims() override { fail("these ranks claim nothing"); }
    void abort(int) override { fail("these ranks end by themselves"); }

   private:
    class Pending : public Exchange {
     public:
      Pending(ThreadRanks& all, Operation& operation, std::size_t bytes, std::size_t from, void* to)
          : all_(all), operation_(operation), bytes_(bytes), from_(from), to_(to) {}
      bool done() override {
        if (!std::exchange(asked_, true)) return false;  // whoever asks has to ask again
        const std::lock_guard lock(all_.mutex_);
        if (operation_.arrived == all_.size_) take();
        return taken_;
      }
      void wait() override {
        std::unique_lock lock(all_.mutex_);
        all_.sent_.wait(lock, [&] { return operation_.arrived == all_.size_; });
        take();
      }

     private:
      void take() {
        if (std::exchange(taken_, true) || bytes_ == 0) return;
        auto* to = static_cast<std::byte*>(to_);
        for (const std::vector<std::byte>& sent : operation_.sent) {
          std::memcpy(to, sent.data() + from_, bytes_);
          to += bytes_;
        }
      }

      ThreadRanks& all_;
      Operation& operation_;
      std::size_t bytes_, from_;
      void* to_;
      bool asked_ = false, taken_ = false;
    };

    /// Sends `sent` bytes, of which everyone takes `bytes` of everyone's, from `from` on.
    std::unique_ptr<Exchange> begin(Kind kind, const void* mine, std::size_t sent,
                                    std::size_t bytes, std::size_t from, void* to) {
      const std::lock_guard lock(all_.mutex_);
      Operation& operation = all_.operations_[{kind, begun_[kind]++}];
      operation.sent.resize(static_cast<std::size_t>(size()));
      const auto* first = static_cast<const std::byte*>(mine);
      operation.sent[static_cast<std::size_t>(rank_)].assign(first, first + sent);
      ++operation.arrived;
      all_.sent_.notify_all();
      return std::make_unique<Pending>(all_, operation, bytes, from, to);
    }

    ThreadRanks& all_;
    int rank_;
    std::map<Kind, int> begun_;
  };

  explicit ThreadRanks(int size) : size_(size) {}

  const int size_;
  std::mutex mutex_;
  std::condition_variable sent_;
  std::map<std::pair<Kind, int>, Operation> operations_;  // all there were
};

}  // namespace pixeldp::tests
