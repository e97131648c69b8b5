#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "kernels/grouped_span.hpp"
#include "kernels/pointwise_function.hpp"
#include "kernels/row_operation.hpp"
#include "kernels/window_pool.hpp"

namespace pixeldp::kernels {

// Row operations as the kernels of kernels/cuda/row_operations.hpp are told of them, one row each.
// Their formulas stand with the operations.

struct PointwiseRow {
  PointwiseFunction function;
  std::int64_t size = 0;
};

struct SelectionRow {
  std::int64_t in_pixels = 0, in_channels = 0, pixels = 0, channels = 0;
  float fill = 0.0f;
};

struct ConcatenationRow {
  std::int64_t pixels = 0;
  std::vector<std::int64_t> channels;
};

struct MultiplicationRow {
  std::int64_t pixels = 0, channels = 0;
};

/// A row operation that devices other than processors have, with what it needs in host memory.
struct DeviceOperation {
  std::variant<PointwiseRow, SelectionRow, ConcatenationRow, MultiplicationRow, WindowPoolShape,
               GroupedSpan>
      row;
  std::vector<float> weight = {}, shift = {};  ///< of a GroupedSpan, whose pointers are null
  std::vector<std::int64_t> places = {};       ///< of a SelectionRow: of pixels, then of channels
};

/// None where devices have no kernel for it.
std::optional<DeviceOperation> device_operation(const RowOperation& operation);

}  // namespace pixeldp::kernels
