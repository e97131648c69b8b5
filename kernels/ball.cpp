#include "kernels/ball.hpp"

#include <cmath>

#include "engine/error.hpp"
#include "kernels/operations.hpp"

namespace pixeldp::kernels {

void step_in_ball(const Stream& stream, const BallStepParams& params, const float* centre,
                  const float* gradient, float* x) {
  if (params.rows < 0 || params.values < 0)
    fail("a step in balls around {} pictures of {} values", params.rows, params.values);
  for (const double length : {params.size, params.step})
    if (!(std::isfinite(length) && length >= 0.0))
      fail("a step of {} in a ball of {}: both must be finite, and at least 0", params.step,
           params.size);
  switch (params.norm) {
    case BallNorm::l1:
    case BallNorm::l2:
    case BallNorm::linf:
      return operations(stream).step_in_ball(stream, params, centre, gradient, x);
  }
  fail("not the norm of a ball: {}", static_cast<int>(params.norm));
}

}  // namespace pixeldp::kernels
