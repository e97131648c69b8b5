#pragma once

#include <cstdint>

#include "kernels/grouped_span.hpp"
#include "kernels/pointwise_function.hpp"

namespace pixeldp::kernels::cpu {

/// Of one instruction set; all give the same bits.
struct RowKernels {
  void (*grouped)(const GroupedSpan& span, const float* x, float* y);
  void (*pointwise)(const PointwiseFunction& function, std::int64_t count, const float* x,
                    float* y);
};

}  // namespace pixeldp::kernels::cpu
