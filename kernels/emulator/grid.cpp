#include <exception>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "engine/error.hpp"
#include "kernels/emulator/cluster.hpp"
#include "kernels/emulator/memory.hpp"

namespace pixeldp::emulator {
namespace {

/// While accesses are checked, one: blocks have no order, so races show all the same.
int threads_for(std::uint64_t clusters) {
  if (settings().check_accesses) return clusters > 0 ? 1 : 0;
#ifdef _OPENMP
  const int most = settings().threads > 0 ? settings().threads : omp_get_max_threads();
  return clusters < static_cast<std::uint64_t>(most) ? static_cast<int>(clusters) : most;
#else
  return static_cast<int>(clusters < 1 ? clusters : 1);
#endif
}

}  // namespace

void run_kernel(const KernelLaunch& launch) {
  const dim3& grid = launch.grid;
  const std::uint64_t clusters = std::uint64_t{grid.x} * grid.y * grid.z / launch.cluster;
  const bool reverse = settings().schedule.reverse_blocks;
  const std::uint64_t first = settings().last_block_only && clusters > 0 ? clusters - 1 : 0;
  if (settings().check_accesses) AccessCheck::begin_launch(first, clusters - first);
  std::exception_ptr error;
  std::uint64_t error_at = clusters;

#pragma omp parallel for schedule(dynamic) num_threads(threads_for(clusters - first)) \
    shared(error, error_at)
  for (std::uint64_t i = first; i < clusters; ++i) {
    std::uint64_t stop = 0;
#pragma omp atomic read
    stop = error_at;
    // Clusters start in order, so those before the one that failed are running or done.
    if (i > stop) continue;
    const std::uint64_t number = reverse ? clusters - 1 - (i - first) : i;
    try {
      thread_local Cluster cluster;
      cluster.run(launch, number);
    } catch (...) {
#pragma omp critical(pixeldp_emulator_error)
      if (i < error_at) {
        error = std::current_exception();
#pragma omp atomic write
        error_at = i;
      }
    }
  }
  if (error) std::rethrow_exception(error);
  device_memory().check_guards([&] {
    return fmt::format("kernel {} (launched at {})", launch.name, describe(launch.where));
  });
}

}  // namespace pixeldp::emulator
