#pragma once

#include <cstdint>

namespace pixeldp::kernels {

struct GroupedConv2dShape;

/// A grouped convolution (kernels/grouped_convolution.hpp) of one row, and its epilogue
///
///   y = clamp(activation(sum + shift[o]), low, high)
///
/// Sums are fma(x, w, sum) from 0, for ascending kernel rows, columns, then channels; taps of
/// padding are left out.
struct GroupedSpan {
  std::int64_t in_h = 0, in_w = 0, in_c = 0, out_h = 0, out_w = 0, out_c = 0, groups = 1;
  std::int64_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1;
  std::int64_t dilation_h = 1, dilation_w = 1, top = 0, left = 0;
  /// [group][tap][input of the group][output of the group]; where each group has one input and one
  /// output [tap][channel].
  const float* weight = nullptr;
  const float* shift = nullptr;  ///< null: 0
  float slope = 1.0f, low = 0.0f, high = 0.0f;

  /// The geometry of a convolution, for what it multiplies by to be put in.
  static GroupedSpan of(const GroupedConv2dShape& shape);
};

}  // namespace pixeldp::kernels
