#pragma once

#include <memory>

#include "engine/buffer.hpp"
#include "kernels/multi_draw.hpp"
#include "pixeldp/draw_loop.hpp"

namespace pixeldp {

/// What a device needs to go from prefixes to statistics; made once for all runs.
struct DeviceNetwork {
  DeviceNetwork(const Stream& stream, const layers::Network& network, std::int64_t micro_batch,
                Fusion fusion);

  Stream stream;
  std::int64_t micro_batch, classes, head_width;
  std::int64_t image_size, noise_size;  ///< elements of an image, and of a row at the noise layer
  layers::Noise noise;
  /// One kernel from the noise to the statistics, or null: then the layers in turn.
  std::unique_ptr<kernels::MultiDraw> multi_draw;
  /// The noise and the first layer of the network's body, or null: then one after the other.
  std::unique_ptr<layers::PreparedNoisy> noisy;
  std::int64_t first_size;  ///< elements of a row behind noisy; without it, of noise_size
  PreparedChain body;       ///< the layers that are in none of these
  Tensor head_weight, head_bias;
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
  virtual void upload(std::span<const std::uint32_t> ids, std::int64_t count) = 0;
  /// Gives the work to the stream. Prefixes [images, noise_size].
  virtual void draw(const float* prefixes, const Totals& totals) = 0;
  /// When the work is done: throws the Error of a draw with a score that is not finite.
  virtual void check() = 0;
};

std::unique_ptr<DeviceRows> make_device_rows(const DeviceNetwork& network, const DrawPlan& plan,
                                             std::int64_t images);

}  // namespace pixeldp
