#include "kernels/sgd.hpp"

#include "engine/error.hpp"
#include "kernels/operations.hpp"

namespace pixeldp::kernels {

void sgd_steps(const Stream& stream, std::span<const SgdStep> steps) {
  for (const SgdStep& step : steps)
    if (step.size < 0) fail("an SGD step of {} elements", step.size);
  operations(stream).sgd_steps(stream, steps);
}

}  // namespace pixeldp::kernels
