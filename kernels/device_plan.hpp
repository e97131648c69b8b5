#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/device.hpp"
#include "kernels/device_schedule.hpp"
#include "kernels/multi_draw.hpp"

namespace pixeldp::kernels {

/// A plan prepared for so many rows on a device that is no processor, as its schedule says.
class DevicePlan {
 public:
  /// Which draws the rows are, of a plan that follows the noise: row i is a draw of prefix row
  /// rows[i].source.
  struct Draws {
    const NoiseParams& noise;
    const NoiseRow* rows;
  };

  virtual ~DevicePlan() = default;
  virtual const DeviceSchedule& schedule() const = 0;
  /// x: the rows, or the prefixes of draws; y: the result. Everything in device memory, aligned to
  /// 16 bytes; returns before the work is done. Runs follow each other in the stream.
  virtual void run(const float* x, float* y) const = 0;
  virtual void run(const Draws& draws, const float* prefixes, float* y) const = 0;
  /// Of a schedule with Prefixes::lattice: prefixes in steps.
  virtual void run(const Draws& draws, const std::int32_t* prefixes, float* y) const = 0;
};

/// Of a step, in device memory; null where it has none.
struct StepWeights {
  const float* weight = nullptr;
  const float* scale = nullptr;
  const float* shift = nullptr;
  /// With Precision::int8, of a product: its weight as whole numbers, packed (pack_int8_weight),
  /// aligned to 16 bytes, in the place of `weight`; `scale` is that of their sums then.
  const std::int8_t* weight_int8 = nullptr;
};

/// Packs the weights of the steps, as work of the stream, which outlives what was packed. Throws an
/// Error on a processor.
std::unique_ptr<DevicePlan> pack_device_plan(const Stream& stream, const InferencePlan& plan,
                                             const std::vector<StepWeights>& weights,
                                             DeviceSchedule schedule);

/// The same of the weights in the plan, which are in host memory. Everything belongs to the stream,
/// which outlives what was prepared.
std::unique_ptr<DevicePlan> prepare_device_plan(const Stream& stream, const InferencePlan& plan,
                                                DeviceSchedule schedule);

/// The whole network from its noise to its statistics as one kernel; null where the device has none
/// for such a network: a convolution with ReLU, a dense layer with ReLU, and the head. In int8,
/// with the scales of the body's steps, it counts what the steps in turn do; else in bf16.
std::unique_ptr<MultiDraw> prepare_multi_draw(const Stream& stream, const NetworkPlan& network,
                                              Precision precision = Precision::bf16,
                                              const std::vector<float>& scales = {});

}  // namespace pixeldp::kernels
