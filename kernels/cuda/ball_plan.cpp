#include "engine/error.hpp"
#include "kernels/cuda/ball.hpp"

namespace pixeldp::kernels {

BallGrid BallGrid::plan(const BallStepParams& params) {
  constexpr std::int64_t most_blocks = 0x7fffffff;
  if (params.rows > most_blocks)
    fail("{} pictures cannot move at once: one launch can do {}", params.rows, most_blocks);
  return {params.values == 0 ? 0 : static_cast<unsigned>(params.rows)};
}

}  // namespace pixeldp::kernels
