#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "kernels/emulator/memory.hpp"
#include "kernels/emulator/runtime.hpp"
#include "kernels/emulator/work_tally.hpp"

/// What the files runtime*.cpp share.
namespace pixeldp::emulator {

using Task = std::function<void()>;

class Event;

/// Work, or the record of an event.
struct GraphNode {
  Task task;
  Event* event = nullptr;
};

class Graph {
 public:
  std::vector<GraphNode> nodes;
  /// Bytes of what the graph allocates and has not freed; its tasks own it.
  std::map<void*, std::size_t> memory;
};

class GraphExec {
 public:
  std::shared_ptr<const std::vector<GraphNode>> nodes;
};

class EmulatedStream {
 public:
  /// Does everything up to the ticket that give() returned.
  void run(std::uint64_t ticket) {
    while (done_ < ticket) {
      const Task task = std::move(queue_.front());
      queue_.pop_front();
      ++done_;
      const DeviceMemoryAccess access;
      task();
    }
  }
  void run_all() { run(given_); }
  std::uint64_t give(Task task) {
    queue_.push_back(std::move(task));
    ++given_;
    if (!settings().delay_streams) run_all();
    return given_;
  }
  bool done(std::uint64_t ticket) const { return done_ >= ticket; }
  bool idle() const { return done_ == given_; }

  std::unique_ptr<Graph> capture;  ///< not null while work is recorded rather than done
  /// The thread that began it: others' calls do not mind (cudaStreamCaptureModeThreadLocal, the
  /// only mode that kernels/cuda asks for).
  std::thread::id capturer;
  bool capture_failed = false;

 private:
  std::deque<Task> queue_;
  std::uint64_t given_ = 0, done_ = 0;
};

class Event {
 public:
  using Clock = std::chrono::steady_clock;
  std::shared_ptr<EmulatedStream> stream;  ///< where it was recorded last
  std::uint64_t ticket = 0;
  std::shared_ptr<Clock::time_point> time = std::make_shared<Clock::time_point>();

  void record(const std::shared_ptr<EmulatedStream>& in) {
    stream = in;
    time = std::make_shared<Clock::time_point>();
    ticket = in->give([to = time] { *to = Clock::now(); });
  }
  bool done() const { return stream == nullptr || stream->done(ticket); }
  void wait() const {
    if (stream != nullptr) stream->run(ticket);
  }
};

/// Everything that handles refer to.
struct Runtime {
  std::recursive_mutex mutex;
  std::shared_ptr<EmulatedStream> default_stream = std::make_shared<EmulatedStream>();
  std::vector<std::shared_ptr<EmulatedStream>> streams;
  std::vector<std::unique_ptr<Event>> events;
  std::vector<std::unique_ptr<Graph>> graphs;
  std::vector<std::unique_ptr<GraphExec>> execs;
  /// What a kernel threw where nothing may be thrown (see finish_quietly); the next call that waits
  /// throws it.
  std::exception_ptr unreported;
  WorkTally tally;

  /// The stream behind a handle; null when there is none.
  std::shared_ptr<EmulatedStream> find(cudaStream_t handle) {
    if (handle == nullptr) return default_stream;
    const auto found = std::find_if(streams.begin(), streams.end(),
                                    [&](const auto& stream) { return stream.get() == handle; });
    return found == streams.end() ? nullptr : *found;
  }
};

Runtime& runtime();

/// Remembers the error as this thread's last, with what exactly was wrong; returns `code`.
cudaError_t set_error(cudaError_t code, const std::string& detail);

template <typename... Args>
cudaError_t error(cudaError_t code, fmt::format_string<Args...> format, Args&&... args) {
  return set_error(code, fmt::format(format, std::forward<Args>(args)...));
}

cudaError_t bad_handle(const char* what);

/// Whether the handle is that of one of them.
template <class Owner, class Handle>
bool is_live(const std::vector<Owner>& owners, Handle handle) {
  return std::ranges::any_of(owners, [&](const Owner& owner) { return owner.get() == handle; });
}

/// Removes what the handle is of.
template <class Owner, class Handle>
cudaError_t destroy(std::vector<Owner>& owners, Handle handle, const char* what) {
  const std::lock_guard lock(runtime().mutex);
  const auto found =
      std::ranges::find_if(owners, [&](const Owner& owner) { return owner.get() == handle; });
  if (found == owners.end()) return bad_handle(what);
  owners.erase(found);
  return cudaSuccess;
}

/// Does all work given so far without throwing, for calls that destructors make.
/// cudaErrorLaunchFailure when a kernel failed.
cudaError_t finish_quietly(const char* what);

/// Records the task if the stream is being captured, else gives it to the stream.
cudaError_t enqueue(cudaStream_t handle, const char* what, Task task);

/// Calls that wait, or that a graph cannot hold, end every capture that the calling thread has
/// under way.
cudaError_t refuse_capture(const char* what);

/// Calls that may wait for the device end the captures of all threads.
cudaError_t refuse_any_capture(const char* what);

}  // namespace pixeldp::emulator
