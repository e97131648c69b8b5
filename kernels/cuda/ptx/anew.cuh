#pragma once

#include "kernels/cuda/device.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE::ptx {

/// The value, as one that the compiler knows nothing of: what follows from it is calculated here,
/// and not before a loop around it, from where it would take registers.
__device__ __forceinline__ int anew(int value) {
#ifndef PIXELDP_EMULATED
  asm volatile("" : "+r"(value));
#endif
  return value;
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE::ptx
