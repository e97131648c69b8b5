#pragma once

#include <cstdint>

#include "kernels/cuda/device.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {

/// Of a block, in shared memory.
template <int threads>
struct OrderedTerms {
  double terms[threads];
  double sum;
};

/// Folds term(i) for i from 0 to count - 1, at least one, in this order, from 0 on by
/// fold(sum, term); the result is every thread's. Thread t makes the terms t, t + threads, ...; one
/// thread folds what all have made. For sums whose order is a processor's, of few values.
template <int threads, class Term, class Fold>
__device__ __forceinline__ double ordered_sum(OrderedTerms<threads>& shared, std::int64_t count,
                                              const Term& term, const Fold& fold) {
  const int thread = static_cast<int>(threadIdx.x);
  double sum = 0.0;
  for (std::int64_t first = 0; first < count; first += threads) {
    const int present = count - first < threads ? static_cast<int>(count - first) : threads;
    if (thread < present) shared.terms[thread] = term(first + thread);
    __syncthreads();
    if (thread == 0)
      for (int i = 0; i < present; ++i) sum = fold(sum, shared.terms[i]);
    __syncthreads();
  }
  if (thread == 0) shared.sum = sum;
  __syncthreads();
  return shared.sum;
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
