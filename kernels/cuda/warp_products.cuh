#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/ptx/convert.cuh"
#include "kernels/cuda/ptx/cp_async.cuh"
#include "kernels/cuda/ptx/mma.cuh"

/// The main loop that the tensor-core convolutions share: what brings operands to shared memory,
/// and how they lie there, is the caller's.
namespace pixeldp::kernels::PIXELDP_DEVICE {

/// 16 bytes of operands: 8 bf16 or 4 tf32.
using Chunk = uint4;

/// The operands of a warp for one mma of each of its sums: 16 products in bf16, 8 in tf32.
template <int m, int n>
struct Fragments {
  std::uint32_t a[m][4], b[n][2];
};

template <class Element, int m, int n>
__device__ __forceinline__ void multiply(Fragments<m, n>& f, float (&sum)[m][n][4]) {
  if constexpr (std::is_same_v<Element, float>) {
    const auto round = [](std::uint32_t& bits) { bits = ptx::to_tf32(__uint_as_float(bits)); };
    for (int i = 0; i < m; ++i)
      for (int k = 0; k < 4; ++k) round(f.a[i][k]);
    for (int j = 0; j < n; ++j)
      for (int k = 0; k < 2; ++k) round(f.b[j][k]);
  }
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < n; ++j) {
      if constexpr (std::is_same_v<Element, float>)
        ptx::mma_tf32(sum[i][j], f.a[i], f.b[j]);
      else
        ptx::mma_bf16(sum[i][j], f.a[i], f.b[j]);
    }
}

/// Adds `steps` steps of two mmas each to a warp's sums. bring(slot) starts the calling thread's
/// copies (cp_async) of the next step to a slot of a ring of `stages`; load(fragments, slot, half)
/// reads the operands of one mma. Copies run stages - 1 steps ahead, operands half a step: load is
/// called once for what lies behind the last step. All threads of the block must call it together.
template <class Element, int stages, int m, int n, class Bring, class Load>
__device__ __forceinline__ void add_products(int steps, const Bring& bring_step, const Load& load,
                                             float (&sum)[m][n][4]) {
  static_assert(stages >= 3);
  constexpr int ahead = stages - 1;
  const auto bring = [&](int step) {
    if (step < steps) bring_step(step % stages);
    ptx::cp_async_commit();  // empty at the end, so that groups and steps stay in step
  };
  Fragments<m, n> fragments[2];
  for (int step = 0; step < ahead; ++step) bring(step);
  ptx::cp_async_wait<ahead - 1>();
  __syncthreads();
  load(fragments[0], 0, 0);
  for (int step = 0; step < steps; ++step) {
    load(fragments[1], step % stages, 1);
    bring(step + ahead);  // where everybody had read before the last barrier
    multiply<Element>(fragments[0], sum);
    ptx::cp_async_wait<ahead - 1>();
    __syncthreads();  // everybody's part of the next step has come
    load(fragments[0], (step + 1) % stages, 0);
    multiply<Element>(fragments[1], sum);
  }
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
