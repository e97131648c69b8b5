#pragma once

#include "kernels/arch.hpp"
#include "kernels/cuda/check.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {

/// Of the device that the calling thread uses.
inline Arch current_arch() {
#ifdef PIXELDP_EMULATED
  return settings().arch;
#else
  int index = 0;
  check_call(cudaGetDevice(&index), "asking for the device");
  // Every launch asks, and asking the driver for all properties takes longer than a launch.
  static thread_local int asked = -1;
  static thread_local Arch arch;
  if (asked != index) arch = arch_of({DeviceKind::cuda, index}), asked = index;
  return arch;
#endif
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
