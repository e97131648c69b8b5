#pragma once

#include <cstdint>

#include "kernels/noise.hpp"

namespace pixeldp::kernels {

/// Throws the Error that add_noise promises on every device: a scale that is negative or not
/// finite, negative counts, rows longer than there are addresses.
void check_noise_arguments(const NoiseParams& params, std::int64_t row_count,
                           std::int64_t elements);

}  // namespace pixeldp::kernels
