#pragma once

#include <cstdint>

#include "engine/device.hpp"
#include "engine/philox.hpp"
#include "kernels/activation.hpp"

namespace pixeldp::kernels {

enum class NoiseDistribution { none, gaussian, laplace };

/// One row of a noisy batch: draw `draw` of image `image`, whose value before the noise is row
/// `source` of the prefix. `image` and `draw` address the random numbers; `source` is merely where
/// the data lies.
struct NoiseRow {
  std::int64_t source = 0;
  std::uint32_t image = 0;
  std::uint32_t draw = 0;
};

struct NoiseParams {
  NoiseDistribution distribution = NoiseDistribution::none;
  float scale =
      0.0f;  ///< standard deviation of the Gaussian, or b of the Laplace density exp(-|z|/b)/(2b)
  std::uint64_t seed = 0;
  StreamTag tag = StreamTag::estimation;
  Activation activation;  ///< applied after the noise, in the same pass
};

/// y[r, e] = activation(prefix[rows[r].source, e] + scale * z(seed, tag, rows[r].image,
/// rows[r].draw, e))
///
/// Expands `prefix` [any, elements] into `y` [row_count, elements]; no noise tensor is written. z
/// depends on nothing but its address, and is the same to the last bit on every instruction set.
/// With distribution none or scale 0 the result is exactly activation(prefix). Non-overlapping, no
/// alignment required.
void add_noise(const Stream& stream, const NoiseParams& params, const NoiseRow* rows,
               std::int64_t row_count, std::int64_t elements, const float* prefix, float* y);

}  // namespace pixeldp::kernels
