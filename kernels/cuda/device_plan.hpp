#pragma once

#include <memory>
#include <vector>

#include "kernels/device_plan.hpp"

namespace pixeldp::kernels {

/// Of a step, in device memory; null where it has none. They are read in the stream and need not
/// stay.
struct StepWeights {
  const float* weight = nullptr;
  const float* scale = nullptr;
  const float* shift = nullptr;
};

/// kernels::prepare_device_plan with the weights uploaded.
std::unique_ptr<DevicePlan> prepare_device_plan(const Stream& stream, const InferencePlan& plan,
                                                const std::vector<StepWeights>& weights,
                                                DeviceSchedule schedule);

// The same with `stream` a cudaStream_t (of the emulator in the second case).

namespace cuda {
std::unique_ptr<DevicePlan> prepare_device_plan(void* stream, const InferencePlan& plan,
                                                const std::vector<StepWeights>& weights,
                                                DeviceSchedule schedule);
}
namespace emulated {
std::unique_ptr<DevicePlan> prepare_device_plan(void* stream, const InferencePlan& plan,
                                                const std::vector<StepWeights>& weights,
                                                DeviceSchedule schedule);
}

}  // namespace pixeldp::kernels
