#pragma once

#include <string>
#include <string_view>

#include "engine/runtime.hpp"
#include "kernels/cuda/on_devices.hpp"

namespace pixeldp::kernels {

/// The oldest GPUs that the kernels are compiled for: compute capability 8.0 (Ampere).
inline constexpr int oldest_architecture = 80;

/// Why there is no GPU to use, in words. `driver` and `runtime` are versions as CUDA counts them
/// (13000 is 13.0; driver 0: there is none), `reason` is what CUDA itself says.
std::string why_no_gpu(int driver, int runtime, std::string_view reason);

/// Throws an Error where GPU `index` is none of `count`, or older than oldest_architecture.
/// `architecture` is ten times its compute capability.
void check_gpu(int index, int count, std::string_view name, int architecture);

PIXELDP_ON_DEVICES(const Runtime& device_runtime();)

}  // namespace pixeldp::kernels
