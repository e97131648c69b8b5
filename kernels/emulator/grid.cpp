#include <exception>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "engine/error.hpp"
#include "kernels/emulator/block.hpp"
#include "kernels/emulator/memory.hpp"

namespace pixeldp::emulator {
namespace {

/// While accesses are checked, one: blocks have no order, so races show all the same.
int threads_for(std::uint64_t blocks) {
  if (settings().check_accesses) return blocks > 0 ? 1 : 0;
#ifdef _OPENMP
  const int most = settings().threads > 0 ? settings().threads : omp_get_max_threads();
  return blocks < static_cast<std::uint64_t>(most) ? static_cast<int>(blocks) : most;
#else
  return static_cast<int>(blocks < 1 ? blocks : 1);
#endif
}

}  // namespace

void run_kernel(const KernelLaunch& launch) {
  const dim3& grid = launch.grid;
  const std::uint64_t blocks = std::uint64_t{grid.x} * grid.y * grid.z;
  const bool reverse = settings().schedule.reverse_blocks;
  const std::uint64_t first = settings().last_block_only && blocks > 0 ? blocks - 1 : 0;
  if (settings().check_accesses) AccessCheck::begin_launch(first, blocks - first);
  std::exception_ptr error;
  std::uint64_t error_at = blocks;

#pragma omp parallel for schedule(dynamic) num_threads(threads_for(blocks - first)) \
    shared(error, error_at)
  for (std::uint64_t i = first; i < blocks; ++i) {
    std::uint64_t stop = 0;
#pragma omp atomic read
    stop = error_at;
    // Blocks start in order, so those before the one that failed are running or done.
    if (i > stop) continue;
    const std::uint64_t number = reverse ? blocks - 1 - (i - first) : i;
    const uint3 index = {static_cast<unsigned>(number % grid.x),
                         static_cast<unsigned>(number / grid.x % grid.y),
                         static_cast<unsigned>(number / grid.x / grid.y)};
    try {
      thread_local Block block;
      block.run(launch, index, number);
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
