#pragma once

#include "tests/multi_draw_problem.hpp"

namespace pixeldp::kernels::cuda {

/// What the kernel as nvcc compiled it adds; `block_draws` as in MultiDrawGrid::plan.
MultiDrawStatistics run_multi_draw(const MultiDrawProblem& problem, int block_draws);
MultiDrawStatistics run_multi_draw(const MultiDrawInt8Problem& problem, int block_draws);

}  // namespace pixeldp::kernels::cuda
