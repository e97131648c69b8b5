#include "engine/communicator.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <thread>

#include <dlfcn.h>
#include <unistd.h>

#include "engine/error.hpp"
#include "engine/interrupt.hpp"
#include "engine/io/file.hpp"
#include "engine/launcher.hpp"
#include "engine/mpi/backend.hpp"
#include "engine/notice.hpp"

namespace pixeldp {
namespace {

class Alone : public Communicator {
  struct Done : Exchange {
    bool done() override { return true; }
    void wait() override {}
  };

 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void barrier() override {}
  std::vector<int> meet(double) override { return {}; }
  void broadcast(void*, std::size_t, int) override {}
  void all_gather(const void* mine, std::size_t bytes, void* all) override {
    std::copy_n(static_cast<const std::byte*>(mine), bytes, static_cast<std::byte*>(all));
  }
  void all_to_all(const void* mine, std::size_t bytes, void* theirs) override {
    all_gather(mine, bytes, theirs);
  }
  std::unique_ptr<Exchange> begin_all_gather(const void* mine, std::size_t bytes,
                                             void* all) override {
    all_gather(mine, bytes, all);
    return std::make_unique<Done>();
  }
  std::unique_ptr<Exchange> begin_all_to_all(const void* mine, std::size_t bytes,
                                             void* theirs) override {
    return begin_all_gather(mine, bytes, theirs);
  }
  void begin_claims() override { next_ = 0; }
  std::int64_t claim() override { return next_++; }
  void end_claims() override { next_ = no_more; }
  void abort(int) override {}

 private:
  std::int64_t next_ = 0;
};

/// Never destroyed at the program's exit: that would wait for ranks that may be elsewhere.
Communicator* joined = nullptr;

double join_seconds() {
  const char* const text = std::getenv("PIXELDP_JOIN_SECONDS");
  if (!text) return 300.0;
  char* end = nullptr;
  const double seconds = std::strtod(text, &end);
  if (end == text || *end != '\0' || !(seconds > 0.0))
    fail_usage("PIXELDP_JOIN_SECONDS is '{}', not a number of seconds above 0", text);
  return seconds;
}

/// MPI starts when all ranks have asked it to, or never: then this ends the process.
class Deadline {
 public:
  explicit Deadline(double seconds)
      : thread_([this, seconds] {
          std::unique_lock lock(mutex_);
          if (done_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return met_; }))
            return;
          notice(
              "error: MPI has not started within {} s: some rank did not come that far, or the "
              "machines "
              "do not reach each other (PIXELDP_JOIN_SECONDS sets the time)",
              seconds);
          std::_Exit(static_cast<int>(Error::Kind::failure));
        }) {}
  ~Deadline() {
    {
      const std::lock_guard lock(mutex_);
      met_ = true;
    }
    done_.notify_all();
    thread_.join();
  }

 private:
  std::mutex mutex_;
  std::condition_variable done_;
  bool met_ = false;
  std::thread thread_;
};

/// Beside the program as it is built, or in lib/ beside its folder as it is installed.
MakeMpiCommunicator* load_mpi() {
  constexpr const char* file = "libpixeldp_mpi.so";
  std::error_code unreadable;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", unreadable).parent_path();
  for (const auto& folder : {program, program.parent_path() / "lib"}) {
    const auto path = folder / file;
    if (!std::filesystem::exists(path, unreadable)) continue;
    // Global, for MPI loads parts of its own that refer to it.
    void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (!library)
      fail("{} cannot be loaded: {}; is Open MPI's folder in LD_LIBRARY_PATH?", path.string(),
           dlerror());
    if (void* const make = dlsym(library, make_mpi_communicator_name))
      return reinterpret_cast<MakeMpiCommunicator*>(make);
    fail("{} is of another version of this program", path.string());
  }
  fail(
      "this process is one of several ranks, but {} is not beside the program: build where Open "
      "MPI "
      "is installed (libopenmpi-dev), or share the images out by 'certify --shard I/N', which "
      "needs "
      "no MPI",
      file);
}

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "an unnamed machine";
}

}  // namespace

Communicator& Communicator::alone() {
  static Alone one;
  return one;
}

void Communicator::broadcast(std::vector<std::int64_t>& values) {
  std::int64_t count = std::ssize(values);
  broadcast(&count, sizeof count, 0);
  values.resize(static_cast<std::size_t>(count));
  broadcast(values.data(), values.size() * sizeof(std::int64_t), 0);
}

std::vector<std::int64_t> Communicator::gather(std::int64_t mine) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(size()));
  all_gather(&mine, sizeof mine, all.data());
  return all;
}

std::vector<std::string> Communicator::gather(const std::string& mine) {
  const std::vector<std::int64_t> lengths = gather(std::ssize(mine));
  const auto longest = static_cast<std::size_t>(std::ranges::max(lengths));
  std::string padded = mine, all(longest * lengths.size(), '\0');
  padded.resize(longest);
  all_gather(padded.data(), longest, all.data());
  std::vector<std::string> texts;
  for (std::size_t r = 0; r < lengths.size(); ++r)
    texts.push_back(all.substr(r * longest, static_cast<std::size_t>(lengths[r])));
  return texts;
}

bool Communicator::any(bool mine) {
  const std::vector<std::int64_t> all = gather(std::int64_t{mine});
  return std::ranges::any_of(all, [](std::int64_t value) { return value != 0; });
}

/// Each rank sums a slice of everyone's values, and then all have all slices: twice the values
/// cross the network, however many ranks there are.
void Communicator::all_reduce(std::span<std::uint64_t> values) {
  const auto ranks = static_cast<std::size_t>(size());
  if (ranks == 1) return;
  const std::size_t slice = (values.size() + ranks - 1) / ranks;
  std::vector<std::uint64_t> mine(slice * ranks), theirs(slice * ranks);
  std::ranges::copy(values, mine.begin());
  all_to_all(mine.data(), slice * sizeof(std::uint64_t), theirs.data());
  for (std::size_t i = 0; i < slice; ++i)
    for (std::size_t r = 1; r < ranks; ++r) theirs[i] += theirs[r * slice + i];
  all_gather(theirs.data(), slice * sizeof(std::uint64_t), mine.data());
  std::copy_n(mine.begin(), values.size(), values.begin());
}

std::string Communicator::name_of(int rank) const {
  const auto r = static_cast<std::size_t>(rank);
  return fmt::format("rank {} (on {})", rank, r < hosts_.size() ? hosts_[r] : "this machine");
}

void Communicator::check_same(std::vector<Fact> facts) {
  if (size() == 1) return;
  if (const std::vector<int> late = meet(join_seconds()); !late.empty()) {
    std::string names;
    for (const int rank : late) names += (names.empty() ? "" : ", ") + name_of(rank);
    fail("not there after {} s: {}; all ranks stop (PIXELDP_JOIN_SECONDS sets the time)",
         join_seconds(), names);
  }
  facts.insert(facts.begin(), {"program", sha256_file("/proc/self/exe")});
  std::string differences;
  for (const auto& [what, mine] : facts) {
    const std::vector<std::string> all = gather(mine);
    for (int r = 1; r < size(); ++r) {
      const std::string& theirs = all[static_cast<std::size_t>(r)];
      if (theirs != all.front())
        differences +=
            fmt::format("\n{}: {} here, {} at {}", what, all.front(), theirs, name_of(r));
    }
  }
  if (differences.empty()) return;
  if (first())
    fail("the ranks do not work on the same ({} is 'here'); all stop:{}", name_of(0), differences);
  barrier();  // never passed: rank 0 ends all
}

Communicator& join_ranks() {
  if (joined) return *joined;
  const Launcher by = launcher();
  if (by.size == 1) return Communicator::alone();
  std::unique_ptr<Communicator> ranks;
  MakeMpiCommunicator* const make = load_mpi();
  {
    const Deadline deadline(join_seconds());
    ranks.reset(make());
  }
  if (ranks->size() != by.size || ranks->rank() != by.rank) {
    fail(
        "{} has started this process as rank {} of {}, but MPI knows it as {} of {}: start it with "
        "mpirun or 'srun --mpi=pmix', or share the images out by 'certify --shard I/N', which "
        "needs "
        "no MPI",
        by.name, by.rank, by.size, ranks->rank(), ranks->size());
  }
  ranks->hosts_ = ranks->gather(host_name());
  joined = ranks.release();
  return *joined;
}

void leave_ranks() { delete std::exchange(joined, nullptr); }

void end_ranks(int status) {
  if (joined) joined->abort(status);
}

int interrupt_signal(Communicator& ranks) {
  return static_cast<int>(std::ranges::max(ranks.gather(std::int64_t{interrupt_signal()})));
}

std::string this_rank() { return joined ? joined->name_of(joined->rank()) : ""; }

}  // namespace pixeldp
