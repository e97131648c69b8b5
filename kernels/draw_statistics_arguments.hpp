#pragma once

#include <cstdint>

#include "kernels/draw_statistics.hpp"

namespace pixeldp::kernels {

/// Throws the Error that draw_statistics promises on every device: negative counts, no classes.
void check_draw_statistics_arguments(const DrawStatisticsParams& params);

/// Throws the Error of a row with a logit that is not finite.
[[noreturn]] void fail_bad_row(std::int64_t row, std::int64_t rows, std::int64_t image);

}  // namespace pixeldp::kernels
