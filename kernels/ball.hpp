#pragma once

#include <cstdint>

#include "engine/device.hpp"

namespace pixeldp::kernels {

/// Of a ball around a picture.
enum class BallNorm { l1, l2, linf };

struct BallStepParams {
  BallNorm norm = BallNorm::linf;
  double size = 0.0;                    ///< of the ball
  double step = 0.0;                    ///< in the same norm
  float lowest = 0.0f, highest = 1.0f;  ///< pixels
  std::int64_t rows = 0, values = 0;    ///< pictures, and of each
};

/// A step of projected gradient ascent: every row of x [rows, values] goes `step` along its row of
/// the gradient, and back into the ball around its row of the centre and into the range of pixels,
/// by the formulas of kernels/formulas/ball.hpp. Sums are in double precision, in the order of the
/// values: the same bits on every device. Everything lies in the stream's memory. Throws an Error
/// for negative counts, for sizes and steps that are negative or not finite, and for what is no
/// norm.
void step_in_ball(const Stream& stream, const BallStepParams& params, const float* centre,
                  const float* gradient, float* x);

}  // namespace pixeldp::kernels
