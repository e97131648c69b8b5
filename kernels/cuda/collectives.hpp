#pragma once

#include <string_view>

#include "engine/device_communicator.hpp"
#include "kernels/cuda/on_devices.hpp"

namespace pixeldp::kernels {

/// Throws the Error of a function of NCCL that failed: at what, NCCL's name for it, and what NCCL
/// says of it, perhaps nothing.
[[noreturn]] void nccl_failed(std::string_view what, std::string_view reason,
                              std::string_view detail);

// Collective operations of ranks on their devices (engine/device_communicator.hpp), by NCCL; on the
// emulator by its stand-in for NCCL (kernels/emulator/nccl.hpp), for processes of one machine.

PIXELDP_ON_DEVICES(const DeviceCommunicators& device_communicators();)

}  // namespace pixeldp::kernels
