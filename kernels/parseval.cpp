#include "kernels/parseval.hpp"

#include <cmath>

#include "engine/error.hpp"
#include "kernels/operations.hpp"

namespace pixeldp::kernels {

void parseval_project(const Stream& stream, const ParsevalParams& params, float* weight,
                      std::uint64_t* bad_loop) {
  const auto [rows, cols, scale, step, loops] = params;
  if (rows < 0 || cols < 0) fail("Parseval projection of a weight of {} x {}", rows, cols);
  if (!(std::isfinite(scale) && scale > 0.0 && std::isfinite(step) && step > 0.0 && loops >= 0))
    fail_usage("Parseval projection: scale {}, step {} and loops {} must be positive", scale, step,
               loops);
  operations(stream).parseval_project(stream, params, weight, bad_loop);
}

std::string divergence_text(std::uint64_t bad_loop, const ParsevalParams& p,
                            std::string_view tensor) {
  if (bad_loop == no_bad_loop) return {};
  return fmt::format(
      "the Parseval projection of {} diverges with a step of {} (before loop {} of {} a squared "
      "singular value is beyond {:.4g})",
      tensor, p.step, bad_loop + 1, p.loops, 1.0 + 2.0 / p.step);
}

}  // namespace pixeldp::kernels
