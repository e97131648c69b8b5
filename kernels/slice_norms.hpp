#pragma once

#include <cstdint>

#include "engine/device.hpp"

namespace pixeldp::kernels {

enum class SliceNorm { l1, l2 };

/// A weight [outer, slices, inner], of which slice s is all [o, s, i].
struct SliceNormParams {
  std::int64_t outer = 0, slices = 0, inner = 0;
  SliceNorm norm = SliceNorm::l2;
};

/// What a norm is taken for that is less.
inline constexpr double least_slice_norm = 1e-12;

/// Divides each slice of the weight, in place and in the stream's memory, by its norm: summed in
/// double precision in the order in which the values lie, each quotient rounded once to single
/// precision; the same bits on every device. Throws an Error for counts that are negative, and for
/// what is no norm.
void normalise_slices(const Stream& stream, const SliceNormParams& params, float* weight);

}  // namespace pixeldp::kernels
