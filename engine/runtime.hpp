#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "engine/device.hpp"

namespace pixeldp {

/// Memory, streams and graphs of one kind of device: what buffers and streams are made of. The
/// processor's is in runtime.cpp; that of a GPU comes with its kernels (kernels/cuda/runtime.cu),
/// and is registered when the program starts. Functions throw an Error that says what failed.
class Runtime {
 public:
  struct Memory {
    std::size_t free = 0, total = 0;  ///< bytes
  };
  enum class Direction { to_device, to_host, within_device };
  /// What a device says of itself; 0 where it does not say.
  struct Properties {
    std::string name;
    int architecture = 0;  ///< ten times the compute capability
    int multiprocessors = 0;
    std::size_t shared_per_block = 0, shared_per_multiprocessor = 0;  ///< bytes, the most
    int registers_per_multiprocessor = 0, threads_per_multiprocessor = 0;
    std::size_t memory_bytes = 0, l2_bytes = 0;
    double clock = 0.0;             ///< Hz, the highest
    double memory_bandwidth = 0.0;  ///< bytes/s, by clock and width of the memory's bus
  };

  virtual ~Runtime() = default;

  /// One line for each device of the kind, by index. Throws an Error that says why there is none.
  virtual std::vector<std::string> devices() const = 0;
  /// Throws an Error where there is no device `index`.
  virtual Properties properties(int index) const = 0;
  /// Makes the calling thread work with device `index`. Throws an Error where there is none such,
  /// or where it cannot run this program's kernels.
  virtual void use(int index) const = 0;

  // All below concern the device that the calling thread uses. A stream is a cudaStream_t.

  virtual void* create_stream() const = 0;
  virtual void destroy_stream(void* stream) const noexcept = 0;
  /// Waits until all work given to the stream is done.
  virtual void synchronize(void* stream) const = 0;

  virtual Memory memory() const = 0;
  /// Aligned to at least 64 bytes, filled with zeros; null when there is not enough memory.
  virtual void* allocate(std::size_t bytes) const = 0;
  virtual void release(void* memory) const noexcept = 0;
  /// Host memory that copy_async may read and write, aligned and filled likewise.
  virtual void* allocate_pinned(std::size_t bytes) const = 0;
  virtual void release_pinned(void* memory) const noexcept = 0;
  /// In the order of the stream. Copies from and to host memory are done when the call returns.
  virtual void copy(void* stream, void* to, const void* from, std::size_t bytes,
                    Direction direction) const = 0;
  /// The same without waiting; host memory is pinned, and is left alone until the stream is past
  /// it.
  virtual void copy_async(void* stream, void* to, const void* from, std::size_t bytes,
                          Direction direction) const = 0;
  virtual void zero(void* stream, void* to, std::size_t bytes) const = 0;

  /// From here on, work given to the stream is recorded instead of done, until end_capture returns
  /// it as a graph (a cudaGraphExec_t).
  virtual void begin_capture(void* stream) const = 0;
  virtual void* end_capture(void* stream) const = 0;
  virtual void launch_graph(void* graph, void* stream) const = 0;
  virtual void destroy_graph(void* graph) const noexcept = 0;

  /// Moments in the work of streams: engine/event.hpp. A graph that is being recorded records the
  /// event whenever it is launched.
  virtual void* create_event() const = 0;
  virtual void destroy_event(void* event) const noexcept = 0;
  virtual void record_event(void* event, void* stream) const = 0;
  virtual void wait_for_event(void* event) const = 0;
  /// What the stream is given from now on starts after the event.
  virtual void wait_for_event(void* event, void* stream) const = 0;
  virtual double seconds_between(void* start, void* end) const = 0;
};

/// Throws the Error of `bytes` that a device could not give, and how to do with less.
[[noreturn]] void fail_out_of_memory(std::string_view device, std::size_t bytes,
                                     const Runtime::Memory& memory);

/// Whether this program was built with that kind of device.
bool has_runtime(DeviceKind kind);

/// The runtime of a kind of device. Throws a usage error where this program has none.
const Runtime& runtime(DeviceKind kind);

/// Makes `runtime` known. It must live as long as the program.
void register_runtime(DeviceKind kind, const Runtime& runtime);

}  // namespace pixeldp
