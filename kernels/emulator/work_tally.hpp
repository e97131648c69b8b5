#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

/// What the emulated device was asked for and did, since reset_work_tally: what a test says that a
/// piece of work costs.
namespace pixeldp::emulator {

struct WorkTally {
  /// Kernels that ran, by name (with template arguments, without namespaces); those of a graph
  /// count whenever it is launched.
  std::map<std::string, std::int64_t> kernels;
  // Calls, by whoever makes them.
  std::int64_t launches = 0;        ///< of kernels, those that are recorded among them
  std::int64_t graph_launches = 0;  ///< of graphs
  std::int64_t waits = 0;        ///< for a stream or the device, and what may wait for it: to free
  std::int64_t event_waits = 0;  ///< for an event
  std::int64_t copies = 0;       ///< between host and device, asynchronous ones among them
  std::int64_t allocations = 0;  ///< by cudaMalloc and cudaMallocHost
  std::int64_t stream_allocations = 0;  ///< by cudaMallocAsync

  /// How many kernels ran whose name begins so.
  std::int64_t ran(std::string_view name) const {
    std::int64_t count = 0;
    for (const auto& [kernel, times] : kernels)
      if (kernel.starts_with(name)) count += times;
    return count;
  }
};

WorkTally work_tally();
void reset_work_tally();

}  // namespace pixeldp::emulator
