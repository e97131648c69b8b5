#pragma once

#include <cstddef>
#include <source_location>
#include <string>
#include <string_view>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch_error.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {

/// Throws the Error of a call of the runtime that failed. `what` was tried.
inline void check_call(cudaError_t error, std::string_view what,
                       const std::source_location& where = std::source_location::current()) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // or the next call would report it again
  device_call_failed(cudaGetErrorString(error), what, where);
}

/// The same for a call that was to allocate memory.
inline void check_allocation(cudaError_t error, std::size_t bytes) {
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    std::size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    device_memory_short(bytes, free, total);
  }
  check_call(error, "allocating " + std::to_string(bytes) + " bytes");
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
