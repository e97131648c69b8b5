#include <atomic>
#include <chrono>
#include <cstdio>
#include <limits>
#include <thread>

#include <mpi.h>

#include "engine/mpi/backend.hpp"

namespace pixeldp {
namespace {

class MpiExchange : public Communicator::Exchange {
 public:
  bool done() override {
    int flag = 0;
    MPI_Test(&request_, &flag, MPI_STATUS_IGNORE);
    return flag != 0;
  }
  void wait() override { MPI_Wait(&request_, MPI_STATUS_IGNORE); }
  MPI_Request* request() { return &request_; }

 private:
  MPI_Request request_ = MPI_REQUEST_NULL;  // which counts as done
};

class MpiCommunicator : public Communicator {
 public:
  MpiCommunicator() {
    int threads = MPI_THREAD_SINGLE;
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &threads);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
    MPI_Comm_dup(MPI_COMM_WORLD, &gathers_);
    MPI_Comm_dup(MPI_COMM_WORLD, &exchanges_);
    MPI_Win_allocate(rank_ == 0 ? sizeof(std::int64_t) : 0, sizeof(std::int64_t), MPI_INFO_NULL,
                     MPI_COMM_WORLD, &counter_, &window_);
    MPI_Win_lock_all(0, window_);
    if (rank_ == 0 && threads == MPI_THREAD_MULTIPLE) progress_ = std::thread([this] { serve(); });
  }
  ~MpiCommunicator() override {
    barrier();
    done_ = true;
    if (progress_.joinable()) progress_.join();
    MPI_Win_unlock_all(window_);
    MPI_Win_free(&window_);
    MPI_Comm_free(&gathers_);
    MPI_Comm_free(&exchanges_);
    MPI_Finalize();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void barrier() override { MPI_Barrier(MPI_COMM_WORLD); }

  std::vector<int> meet(double seconds) override;

  void broadcast(void* data, std::size_t bytes, int root) override {
    MPI_Bcast(data, count(bytes), MPI_BYTE, root, MPI_COMM_WORLD);
  }
  void all_gather(const void* mine, std::size_t bytes, void* all) override {
    MPI_Allgather(mine, count(bytes), MPI_BYTE, all, count(bytes), MPI_BYTE, MPI_COMM_WORLD);
  }
  void all_to_all(const void* mine, std::size_t bytes, void* theirs) override {
    MPI_Alltoall(mine, count(bytes), MPI_BYTE, theirs, count(bytes), MPI_BYTE, MPI_COMM_WORLD);
  }

  std::unique_ptr<Exchange> begin_all_gather(const void* mine, std::size_t bytes,
                                             void* all) override {
    auto exchange = std::make_unique<MpiExchange>();
    MPI_Iallgather(mine, count(bytes), MPI_BYTE, all, count(bytes), MPI_BYTE, gathers_,
                   exchange->request());
    return exchange;
  }
  std::unique_ptr<Exchange> begin_all_to_all(const void* mine, std::size_t bytes,
                                             void* theirs) override {
    auto exchange = std::make_unique<MpiExchange>();
    MPI_Ialltoall(mine, count(bytes), MPI_BYTE, theirs, count(bytes), MPI_BYTE, exchanges_,
                  exchange->request());
    return exchange;
  }

  void begin_claims() override {
    barrier();  // nobody claims any more
    if (rank_ == 0) fetch_and(MPI_REPLACE, 0);
    barrier();
  }
  std::int64_t claim() override { return fetch_and(MPI_SUM, 1); }
  void end_claims() override { fetch_and(MPI_REPLACE, no_more); }

  void abort(int status) override { MPI_Abort(MPI_COMM_WORLD, status); }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr int arrival = 1;  // tag

  /// MPI counts in int; what is larger ends all ranks.
  int count(std::size_t bytes) {
    if (bytes <= std::numeric_limits<int>::max()) return static_cast<int>(bytes);
    std::fprintf(stderr, "pixeldp: error: %zu bytes at once are more than MPI sends\n", bytes);
    abort(1);
    return 0;
  }

  std::int64_t fetch_and(MPI_Op operation, std::int64_t operand) {
    std::int64_t before = 0;
    MPI_Fetch_and_op(&operand, &before, MPI_INT64_T, 0, 0, operation, window_);
    MPI_Win_flush(0, window_);
    return before;
  }

  /// Where the network cannot add to another machine's memory by itself, rank 0 must look into MPI
  /// for others to get on, though it may be long at work between two claims of its own.
  void serve() {
    while (!done_) {
      int found = 0;
      MPI_Iprobe(MPI_ANY_SOURCE, arrival + 1, MPI_COMM_WORLD, &found, MPI_STATUS_IGNORE);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  int rank_ = 0, size_ = 1;
  std::int64_t* counter_ = nullptr;
  MPI_Win window_ = MPI_WIN_NULL;
  // MPI matches collectives of a communicator by their order, which holds only within a kind.
  MPI_Comm gathers_ = MPI_COMM_NULL, exchanges_ = MPI_COMM_NULL;
  std::atomic<bool> done_ = false;
  std::thread progress_;
};

std::vector<int> MpiCommunicator::meet(double seconds) {
  if (rank_ > 0) {
    MPI_Send(nullptr, 0, MPI_BYTE, 0, arrival, MPI_COMM_WORLD);
  } else {
    std::vector<bool> there(static_cast<std::size_t>(size_));
    const auto deadline = Clock::now() + std::chrono::duration<double>(seconds);
    for (int missing = size_ - 1; missing > 0;) {
      int found = 0;
      MPI_Status status;
      MPI_Iprobe(MPI_ANY_SOURCE, arrival, MPI_COMM_WORLD, &found, &status);
      if (found) {
        MPI_Recv(nullptr, 0, MPI_BYTE, status.MPI_SOURCE, arrival, MPI_COMM_WORLD,
                 MPI_STATUS_IGNORE);
        there[static_cast<std::size_t>(status.MPI_SOURCE)] = true;
        --missing;
      } else if (Clock::now() > deadline) {
        std::vector<int> late;
        for (int r = 1; r < size_; ++r)
          if (!there[static_cast<std::size_t>(r)]) late.push_back(r);
        return late;
      } else {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    }
  }
  barrier();
  return {};
}

}  // namespace

extern "C" Communicator* pixeldp_make_mpi_communicator() { return new MpiCommunicator; }

}  // namespace pixeldp
