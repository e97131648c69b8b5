#include "kernels/local_response.hpp"

#include <cmath>

#include "engine/error.hpp"

namespace pixeldp::kernels {

void check(const LocalResponseParams& params) {
  constexpr std::int64_t most = 1 << 20;
  const bool sound = std::isfinite(params.alpha) && std::isfinite(params.beta) &&
                     std::isfinite(params.bias) && params.alpha >= 0.0f && params.bias > 0.0f;
  if (params.window < 1 || params.window > most || !sound)
    fail(
        "local response normalisation over {} channels with alpha {}, beta {} and bias {} is not "
        "read: the window is from 1 to 2^20, alpha at least 0, and the bias above 0",
        params.window, params.alpha, params.beta, params.bias);
}

}  // namespace pixeldp::kernels
