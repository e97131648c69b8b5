#include "tests/multi_draw_on_device.cuh"
#include "tests/ptx/multi_draw_on_device.hpp"

namespace pixeldp::kernels::cuda {

MultiDrawStatistics run_multi_draw(const MultiDrawProblem& problem, int block_draws) {
  return run(problem, block_draws);
}
MultiDrawStatistics run_multi_draw(const MultiDrawInt8Problem& problem, int block_draws) {
  return run(problem, block_draws);
}

}  // namespace pixeldp::kernels::cuda
