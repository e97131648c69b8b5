#include "kernels/formulas/ball.hpp"

#include "kernels/cpu/operations.hpp"

namespace pixeldp::kernels::cpu {

void step_in_ball(const Stream&, const BallStepParams& params, const float* centre,
                  const float* gradient, float* x) {
  const BallStepParams p = params;
#pragma omp parallel for
  for (std::int64_t r = 0; r < p.rows; ++r) {
    const std::int64_t first = r * p.values;
    ball::step_against(p.norm, p.values, gradient + first, -p.step, x + first);
    ball::project(p.norm, p.values, centre + first, p.size, p.lowest, p.highest, x + first);
  }
}

}  // namespace pixeldp::kernels::cpu
