#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "engine/buffer.hpp"
#include "kernels/inference.hpp"
#include "kernels/multi_draw.hpp"
#include "kernels/noisy_convolution.hpp"

namespace pixeldp::kernels {

/// Whether the noise and steps behind it may become one kernel where the device has such a kernel.
enum class Fusion { allowed, none };

/// A plan prepared for so many rows on a device that is no processor: a kernel per step, one after
/// the other in the stream. Operands of products are rounded to `precision`; the values between the
/// steps are in fp32.
class DevicePlan {
 public:
  /// The steps that are marked in `done` are somebody else's, who writes their values.
  DevicePlan(const Stream& stream, const InferencePlan& plan, std::int64_t rows,
             Precision precision, const std::vector<bool>& done = {});

  /// x is value 0, y the last value; both in device memory, aligned to 16 bytes. Returns before the
  /// work is done. Runs follow each other in the stream.
  void run(const float* x, float* y);
  /// Where any other value lies during a run; y for the last one.
  float* value(int number, float* y);

 private:
  using Work = std::function<void(const float* x, const float* residual, float* y)>;
  struct Step {
    std::vector<int> inputs;
    int output = 0;
    Work work;
  };

  int last_;
  std::vector<std::int64_t> places_;  // of each value, in floats
  Buffer<float> memory_;
  std::vector<Step> steps_;
};

/// From the noise to the features in front of the head, for so many rows on such a device.
class DeviceBody {
 public:
  DeviceBody(const Stream& stream, const NetworkPlan& network, std::int64_t rows,
             Precision precision, Fusion fusion);

  /// Row i of the features is a draw of prefix row rows[i].source. All in device memory.
  void run(const NoiseParams& noise, const NoiseRow* rows, const float* prefix, float* features);
  /// Whether the noise is part of a convolution.
  bool fused() const { return noisy_ != nullptr; }

 private:
  Stream stream_;
  std::int64_t rows_, noise_size_;
  std::unique_ptr<NoisyConv2d> noisy_;  // null: the noise by itself
  int made_ = 0;                        // by noisy_: this value,
  bool writes_read_ = false;            // and value 1 too, which others read besides
  bool copies_ = false;                 // there are no steps
  Buffer<float> noised_;
  std::unique_ptr<DevicePlan> steps_;
};

/// The whole network from its noise to its statistics as one kernel; null where the device has none
/// for such a network.
std::unique_ptr<MultiDraw> prepare_multi_draw(const Stream& stream, const NetworkPlan& network);

}  // namespace pixeldp::kernels
