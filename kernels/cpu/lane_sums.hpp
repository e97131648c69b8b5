#pragma once

namespace pixeldp::kernels::cpu {

/// Partial sums as GPUs keep them: one for each lane of a warp.
inline constexpr int warp_lanes = 32;

/// The sum of the lanes in the order of kernels/cuda/warp_sum.cuh. The lanes are overwritten.
template <class T>
T sum_of_lanes(T (&lanes)[warp_lanes]) {
  for (int half = warp_lanes / 2; half > 0; half /= 2)
    for (int l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  return lanes[0];
}

}  // namespace pixeldp::kernels::cpu
