#include "kernels/emulator/rank_channels.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <new>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/error.hpp"

namespace pixeldp::emulator {

/// A message travels in chunks, of which a channel holds one.
struct RankChannels::Channel {
  std::uint64_t message = 0;  // bytes of the whole
  std::uint64_t filled = 0;   // of the chunk; 0: there is none
};

/// At the beginning of the memory; channels and their chunks follow.
struct RankChannels::Shared {
  std::atomic<bool> made = false;  // all else is there
  pthread_mutex_t mutex = {};
  pthread_cond_t changed = {};
  // Guarded by the mutex.
  int arrived = 0;
  bool given_up = false;

  Shared() {
    pthread_mutexattr_t of_mutex;
    pthread_mutexattr_init(&of_mutex);
    pthread_mutexattr_setpshared(&of_mutex, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&of_mutex, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&mutex, &of_mutex);
    pthread_mutexattr_destroy(&of_mutex);
    pthread_condattr_t of_condition;
    pthread_condattr_init(&of_condition);
    pthread_condattr_setpshared(&of_condition, PTHREAD_PROCESS_SHARED);
    pthread_condattr_setclock(&of_condition, CLOCK_MONOTONIC);
    pthread_cond_init(&changed, &of_condition);
    pthread_condattr_destroy(&of_condition);
  }
};

/// A rank that is killed within gives up.
class RankChannels::Lock {
 public:
  explicit Lock(Shared& shared) : shared_(shared) { take(pthread_mutex_lock(&shared.mutex)); }
  ~Lock() { pthread_mutex_unlock(&shared_.mutex); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  void wait() { take(pthread_cond_wait(&shared_.changed, &shared_.mutex)); }
  /// Whether something may have changed before that time.
  bool wait_until(const timespec& time) {
    const int result = pthread_cond_timedwait(&shared_.changed, &shared_.mutex, &time);
    if (result != ETIMEDOUT) take(result);
    return result != ETIMEDOUT;
  }

 private:
  void take(int result) {
    if (result != EOWNERDEAD) return;
    pthread_mutex_consistent(&shared_.mutex);
    shared_.given_up = true;
    pthread_cond_broadcast(&shared_.changed);
  }

  Shared& shared_;
};

namespace {

using Clock = std::chrono::steady_clock;

/// Some machines have 64 MiB of shared memory for all of their processes.
std::size_t chunk_size(int ranks) {
  constexpr std::size_t most_in_all = std::size_t{8} << 20, least = 4 << 10, most = 64 << 10;
  const auto channels = static_cast<std::size_t>(ranks) * static_cast<std::size_t>(ranks);
  return std::clamp(most_in_all / channels / least * least, least, most);
}

struct File {
  int number = -1;
  File() = default;
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (number >= 0) ::close(number);
  }
  bool holds(std::size_t bytes) const {
    struct stat status = {};
    return ::fstat(number, &status) == 0 && std::cmp_greater_equal(status.st_size, bytes);
  }
};

[[noreturn]] void fail_to_meet(const std::string& name, double seconds) {
  fail(
      "shared memory {}: not all ranks have come within {} s; those on the device 'emulated' must "
      "be processes of one machine",
      name, seconds);
}

template <class Condition>
void wait_for(Condition condition, Clock::time_point deadline, const std::string& name,
              double seconds) {
  while (!condition()) {
    if (Clock::now() > deadline) fail_to_meet(name, seconds);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace

std::string RankChannels::new_name() {
  static std::atomic<int> names = 0;
  std::random_device random;
  return fmt::format("/pixeldp-{}-{}-{:08x}", ::getpid(), ++names, random());
}

RankChannels::RankChannels(const std::string& name, int ranks, int rank, double seconds)
    : ranks_(ranks), rank_(rank), chunk_bytes_(chunk_size(ranks)) {
  const auto channels = static_cast<std::size_t>(ranks) * static_cast<std::size_t>(ranks);
  const std::size_t bytes = sizeof(Shared) + channels * (sizeof(Channel) + chunk_bytes_);
  const auto deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                           std::chrono::duration<double>(seconds));
  File file;
  constexpr mode_t owner_only = 0600;
  int kind = MAP_SHARED;
  if (ranks == 1) {
    kind |= MAP_ANONYMOUS;  // which works where there is no /dev/shm
  } else if (rank == 0) {
    file.number = ::shm_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL, owner_only);
    if (file.number < 0) fail("shared memory {}: {}", name, std::strerror(errno));
    // Memory that a file only promises would be missed when it is written to.
    if (const int error = ::posix_fallocate(file.number, 0, static_cast<off_t>(bytes))) {
      ::shm_unlink(name.c_str());
      fail("shared memory {}: no room for {} bytes: {}; free some of /dev/shm, or make it larger",
           name, bytes, std::strerror(error));
    }
  } else {
    wait_for(
        [&] {
          file.number = ::shm_open(name.c_str(), O_RDWR, owner_only);
          return file.number >= 0;
        },
        deadline, name, seconds);
    wait_for([&] { return file.holds(bytes); }, deadline, name, seconds);
  }
  void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, kind, file.number, 0);
  if (memory == MAP_FAILED) {
    const int error = errno;
    if (rank == 0) ::shm_unlink(name.c_str());
    fail("shared memory {}: {}", name, std::strerror(error));
  }
  memory_ = {memory, [bytes](void* owned) { ::munmap(owned, bytes); }};
  if (rank == 0) {
    new (memory) Shared;
    for (int from = 0; from < ranks; ++from)
      for (int to = 0; to < ranks; ++to) new (&channel(from, to)) Channel;
    shared().made.store(true, std::memory_order_release);
  } else {
    wait_for([&] { return shared().made.load(std::memory_order_acquire); }, deadline, name,
             seconds);
  }
  meet(name, seconds);
}

/// The name goes when all are there, or will never be.
void RankChannels::meet(const std::string& name, double seconds) {
  timespec deadline = {};
  ::clock_gettime(CLOCK_MONOTONIC, &deadline);
  constexpr long second = 1'000'000'000;  // in nanoseconds
  const long left = deadline.tv_nsec + static_cast<long>(seconds * double{second});
  deadline.tv_sec += left / second;
  deadline.tv_nsec = left % second;
  bool met = false;
  {
    Lock lock(shared());
    ++shared().arrived;
    pthread_cond_broadcast(&shared().changed);
    const auto all = [&] { return shared().arrived == ranks_; };
    while (!all() && lock.wait_until(deadline)) {
    }
    met = all();
  }
  if (rank_ == 0) ::shm_unlink(name.c_str());
  if (!met) fail_to_meet(name, seconds);
}

RankChannels::Shared& RankChannels::shared() const { return *static_cast<Shared*>(memory_.get()); }

RankChannels::Channel& RankChannels::channel(int from, int to) const {
  return reinterpret_cast<Channel*>(&shared() + 1)[from * ranks_ + to];
}

std::byte* RankChannels::chunk(int from, int to) const {
  auto* const chunks = reinterpret_cast<std::byte*>(&channel(ranks_, 0));
  return chunks + static_cast<std::size_t>(from * ranks_ + to) * chunk_bytes_;
}

bool RankChannels::exchange(std::span<const Outgoing> out, std::span<const Incoming> in) {
  std::vector<std::size_t> sent(out.size()), received(in.size());
  Lock lock(shared());
  for (;;) {
    bool moved = false, done = true;
    std::vector<bool> sends(static_cast<std::size_t>(ranks_)), receives = sends;
    for (std::size_t i = 0; i < out.size(); ++i) {
      const auto& [to, data, bytes] = out[i];
      if (sent[i] == bytes) continue;
      done = false;
      Channel& there = channel(rank_, to);
      if (sends[static_cast<std::size_t>(to)] || there.filled > 0) continue;
      sends[static_cast<std::size_t>(to)] = true;
      there = {bytes, std::min(chunk_bytes_, bytes - sent[i])};
      std::memcpy(chunk(rank_, to), static_cast<const std::byte*>(data) + sent[i], there.filled);
      sent[i] += there.filled;
      moved = true;
    }
    for (std::size_t i = 0; i < in.size(); ++i) {
      const auto& [from, data, bytes] = in[i];
      if (received[i] == bytes) continue;
      done = false;
      Channel& here = channel(from, rank_);
      if (receives[static_cast<std::size_t>(from)] || here.filled == 0) continue;
      receives[static_cast<std::size_t>(from)] = true;
      if (here.message != bytes) {
        shared().given_up = true;
        pthread_cond_broadcast(&shared().changed);
        fail("rank {} sends {} bytes where rank {} receives {}", from, here.message, rank_, bytes);
      }
      std::memcpy(static_cast<std::byte*>(data) + received[i], chunk(from, rank_), here.filled);
      received[i] += std::exchange(here.filled, 0);
      moved = true;
    }
    if (done) return true;
    if (shared().given_up) return false;
    if (moved)
      pthread_cond_broadcast(&shared().changed);
    else
      lock.wait();
  }
}

void RankChannels::give_up() {
  const Lock lock(shared());
  shared().given_up = true;
  pthread_cond_broadcast(&shared().changed);
}

bool RankChannels::given_up() const {
  const Lock lock(shared());
  return shared().given_up;
}

}  // namespace pixeldp::emulator
