#pragma once

#include <memory>

#include "engine/buffer.hpp"
#include "kernels/device_plan.hpp"
#include "pixeldp/sampling_loop.hpp"

namespace pixeldp {

/// What follows the noise, for micro-batches of so many rows. Throws an Error for a precision that
/// the device has not, for int8 without its scales, and for int8 where what lies before the noise
/// would differ from a processor's.
std::unique_ptr<kernels::DevicePlan> prepare_device_body(
    const Stream& stream, const kernels::NetworkPlan& network, std::int64_t micro_batch,
    const BodyPrecision& chosen, kernels::Fusion fusion,
    kernels::Prefixes prefixes = kernels::Prefixes::floats);

/// What a device needs to go from pixels to statistics; made once for all runs.
struct DeviceNetwork {
  static constexpr std::int64_t prefix_batch = 16;  ///< images whose prefixes are made together

  /// Throws the Errors of prepare_device_body.
  DeviceNetwork(const Stream& stream, const kernels::NetworkPlan& network, std::int64_t micro_batch,
                const BodyPrecision& precision, kernels::Fusion fusion,
                std::shared_ptr<const LatticePrefix> lattice = nullptr);

  Stream stream;
  std::int64_t micro_batch, classes, features;
  std::int64_t image_size, noise_size;  ///< elements of an image, and of a row at the noise layer
  kernels::NoiseParams noise;           ///< but for seed and tag
  /// Of noise on a lattice: makes the prefixes, on the processor. Null: the noise is in floats.
  std::shared_ptr<const LatticePrefix> lattice;
  std::unique_ptr<kernels::DevicePlan> prefix;  ///< null: the image itself, or a lattice's
  /// One kernel from the noise to the statistics, or else the steps in turn.
  std::unique_ptr<kernels::MultiDraw> multi_draw;
  std::unique_ptr<kernels::DevicePlan> body;
  Buffer<float> head_weight, head_bias;
};

/// Where the prefixes of a window's images lie on the device, [images, noise_size]: in floats or,
/// where the noise is on a lattice, in its steps.
struct DevicePrefixes {
  const float* floats = nullptr;
  const std::int32_t* steps = nullptr;
};

/// The rows of a window of images on the way from prefixes to statistics.
class DeviceRows {
 public:
  /// Arrays [images, classes] on the device.
  struct Totals {
    std::uint64_t *votes, *sums, *squares;
  };

  virtual ~DeviceRows() = default;
  /// Before each window, with the ids of its images; those after the first `count` do not exist.
  /// Gives the copies to `copies`.
  virtual void upload(const Stream& copies, std::span<const std::uint32_t> ids,
                      std::int64_t count) = 0;
  /// Gives the work to the network's stream.
  virtual void draw(const DevicePrefixes& prefixes, const Totals& totals) = 0;
  /// After the work, in the network's stream: what check looks at.
  virtual void download() = 0;
  /// When all is done: throws the Error of a draw with a score that is not finite.
  virtual void check() const = 0;
};

std::unique_ptr<DeviceRows> make_device_rows(const DeviceNetwork& network, const DrawRange& draws,
                                             std::int64_t images);

}  // namespace pixeldp
