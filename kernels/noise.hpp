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
  /// Standard deviation of the Gaussian, or b of the Laplace density exp(-|z|/b)/(2b).
  float scale = 0.0f;
  std::uint64_t seed = 0;
  StreamTag tag = StreamTag::estimation;
  Activation activation;  ///< applied after the noise, in the same pass
  /// In the stream's memory, a positive number that multiplies the scale; null: 1. For a graph,
  /// which is launched again with another. Of add_noise alone.
  const float* factor = nullptr;
};

/// y[r, e] = activation(prefix[rows[r].source, e] + scale * z(seed, tag, rows[r].image,
/// rows[r].draw, e))
///
/// Expands `prefix` [any, elements] into `y` [row_count, elements]; no noise tensor is written. z
/// depends on nothing but its address, and is the same to the last bit on every instruction set.
/// With distribution none or scale 0 the result is exactly activation(prefix). Non-overlapping, no
/// alignment required. May be called from a parallel region; outside one, large calls use all
/// threads. Throws an Error when scale is negative or not finite, or a row has more elements than
/// addresses (2^34).
///
/// z is made of the words w0 ... w3 = Philox::at(seed, tag, image, draw, e / 4):
///
///   Gaussian (Box and Muller, 1958): elements 0 and 1 from w0 and w1, elements 2 and 3 from w2 and
///   w3. Radius r = sqrt(-2 ln u) with u = (w0 + 1/2) 2^-32 rounded to single precision; angle t =
///   the lower 30 bits of w1 as a two's-complement number times 2^-30 pi/2, so in [-pi/4, pi/4);
///   (r cos t, r sin t) with the cosine negated if bit 31 of w1 is set, then the two exchanged if
///   bit 30 is. |z| <= sqrt(-2 ln 2^-33) = 6.7637, beyond which a Gaussian has probability 1.3e-11.
///
///   Laplace: element j from wj alone: -ln u with u = (the lower 31 bits + 1/2) 2^-31 rounded to
///   single precision, negated if bit 31 is set. |z| <= 32 ln 2 = 22.181, beyond which a Laplace
///   variable has probability 2.3e-10.
///
/// Beyond that, z is off by at most 3.9 units in the last place (Gaussian; measured over 2^25
/// elements) and 1.9 (Laplace). scale * z + prefix is rounded once. ReLU maps negative values to
/// +0; a prefix value that is not a number stays one under every activation.
void add_noise(const Stream& stream, const NoiseParams& params, const NoiseRow* rows,
               std::int64_t row_count, std::int64_t elements, const float* prefix, float* y);

/// Throws the Error of add_noise, for what makes noise inside another operation.
void check_noise_arguments(const NoiseParams& params, std::int64_t row_count,
                           std::int64_t elements);

}  // namespace pixeldp::kernels
