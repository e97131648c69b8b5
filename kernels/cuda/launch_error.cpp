#include "kernels/cuda/launch_error.hpp"

#include "engine/error.hpp"
#include "engine/runtime.hpp"

namespace pixeldp::kernels {

void launch_failed(std::string_view reason, std::string_view kernel,
                   const std::source_location& where, const std::array<unsigned, 3>& grid,
                   const std::array<unsigned, 3>& block, std::size_t shared_bytes) {
  fail(
      "{}:{}: kernel {} with ({},{},{}) blocks of ({},{},{}) threads and {} bytes of shared memory "
      "was not launched: {}",
      where.file_name(), where.line(), kernel, grid[0], grid[1], grid[2], block[0], block[1],
      block[2], shared_bytes, reason);
}

void no_gpu(std::string_view reason) { fail("{}", reason); }

void device_memory_short(std::size_t bytes, std::size_t free, std::size_t total) {
  fail_out_of_memory("the device", bytes, {free, total});
}

void device_call_failed(std::string_view reason, std::string_view what,
                        const std::source_location& where) {
  fail("{}:{}: {} on the device failed: {}", where.file_name(), where.line(), what, reason);
}

}  // namespace pixeldp::kernels
