#pragma once

#include <cstdint>
#include <span>

#include "kernels/ball.hpp"
#include "pixeldp/calibration.hpp"

namespace pixeldp {

/// Pixels as the network sees them: from `lowest` to `lowest` + 1.
struct PixelRange {
  float lowest = 0.0f;
  float highest() const { return lowest + 1.0f; }
};

/// What kernels call it.
kernels::BallNorm ball_norm(AttackNorm norm);

// By the formulas of kernels/formulas/ball.hpp:

/// The distance of two pictures in the norm of an attack.
double distance(AttackNorm norm, std::span<const float> a, std::span<const float> b);

/// The distance of the two pictures of so many values that are farthest apart.
double largest_distance(AttackNorm norm, std::int64_t values);

/// Brings x nearer to the centre: what is left is that share of the way.
void shorten(std::span<const float> centre, double share, std::span<float> x);

/// x -= length * d, where d points along the gradient and has length 1 in the norm: the gradient
/// divided by its norm (1 and 2), its signs (inf). A gradient of zeros moves nothing.
void step_against(AttackNorm norm, std::span<const float> gradient, double length,
                  std::span<float> x);

/// Puts a picture back into the ball around `centre`, shortened towards it (1 and 2) or clipped
/// (inf), with pixels in their range, of which the centre's are. Its distance is at most the size
/// afterwards, rounding included.
void project(AttackNorm norm, std::span<const float> centre, double size, PixelRange pixels,
             std::span<float> x);

/// Rounds pixels to 8 bits, none of them farther from the centre's, which have 8 bits, than before:
/// what an attack can do to images of 8 bits. Twice is as once.
void round_to_8_bits(std::span<const float> centre, PixelRange pixels, std::span<float> x);

/// A picture drawn uniformly from the ball, before pixels are clipped into their range: number
/// `sample` of image `image`, the same on every machine.
void sample_ball(AttackNorm norm, std::span<const float> centre, double size, PixelRange pixels,
                 std::uint64_t seed, std::uint32_t image, std::uint32_t sample, std::span<float> x);

}  // namespace pixeldp
