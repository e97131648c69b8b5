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

/// 16 bytes of operands: 16 bytes, 8 bf16 or 4 tf32.
using Chunk = uint4;

/// The operands of a warp for one mma of each of its sums: 32 products of bytes, 16 of bf16, 8 of
/// tf32.
template <int m>
using RowFragments = std::uint32_t[m][4];
template <int n>
using ColumnFragments = std::uint32_t[n][2];

/// The sums' next mma. `a` is done with afterwards, and so are `group` columns of `b` at a time:
/// load_columns(b, first column) puts others in their place, long before anybody wants them.
template <class Element, int group, int m, int n, class Sum, class LoadColumns>
__device__ __forceinline__ void multiply(RowFragments<m>& a, ColumnFragments<n>& b,
                                         Sum (&sum)[m][n][4], const LoadColumns& load_columns) {
  static_assert(n % group == 0);
  const auto round = [](std::uint32_t& bits) {
    if constexpr (std::is_same_v<Element, float>) bits = ptx::to_tf32(__uint_as_float(bits));
  };
  for (int i = 0; i < m; ++i)
    for (int k = 0; k < 4; ++k) round(a[i][k]);
  for (int first = 0; first < n; first += group) {
    for (int j = first; j < first + group; ++j) {
      for (int k = 0; k < 2; ++k) round(b[j][k]);
      for (int i = 0; i < m; ++i) {
        if constexpr (std::is_same_v<Element, float>)
          ptx::mma_tf32(sum[i][j], a[i], b[j]);
        else if constexpr (std::is_same_v<Element, std::int8_t>)
          ptx::mma_s8(sum[i][j], a[i], b[j]);
        else if constexpr (std::is_same_v<Element, std::uint16_t>)
          ptx::mma_bf16(sum[i][j], a[i], b[j]);
        else
          static_assert(sizeof(Element) == 0, "operands are bf16, tf32 or bytes");
      }
    }
    load_columns(b, first);
  }
}

/// Adds `steps` steps of two mmas each to a warp's sums. bring(slot) starts the calling thread's
/// copies (cp_async) of the next step to a slot of a ring of `stages`; load_rows(a, slot, half) and
/// load_columns(b, first, slot, half) read the operands of one mma, the latter of `group` columns.
/// Copies run stages - 1 steps ahead, operands half a step: they are read once for what lies behind
/// the last step. Rows have two sets of registers, columns one. All threads of the block must call
/// it together. beyond: bring knows itself where the steps end, and may be asked for more.
template <class Element, int stages, int group, bool beyond = false, int m, int n, class Sum,
          class Bring, class LoadRows, class LoadColumns>
__device__ __forceinline__ void add_products(int steps, const Bring& bring,
                                             const LoadRows& load_rows,
                                             const LoadColumns& load_columns, Sum (&sum)[m][n][4]) {
  static_assert(stages >= 3);
  constexpr int ahead = stages - 1;
  RowFragments<m> a[2];
  ColumnFragments<n> b;
  for (int step = 0; step < ahead; ++step) {
    if (beyond || step < steps) bring(step);
    ptx::cp_async_commit();  // empty at the end, so that groups and steps stay in step
  }
  ptx::cp_async_wait<ahead - 1>();
  __syncthreads();
  load_rows(a[0], 0, 0);
  for (int first = 0; first < n; first += group) load_columns(b, first, 0, 0);
  int slot = 0, free = ahead;  // of this step, and where everybody had read before the last barrier
  for (int left = steps; left > 0; --left) {
    load_rows(a[1], slot, 1);
    if (beyond || left > ahead) bring(free);
    ptx::cp_async_commit();
    multiply<Element, group>(
        a[0], b, sum, [&](ColumnFragments<n>& to, int first) { load_columns(to, first, slot, 1); });
    ptx::cp_async_wait<ahead - 1>();
    __syncthreads();  // everybody's part of the next step has come
    free = slot;
    slot = slot + 1 == stages ? 0 : slot + 1;
    load_rows(a[0], slot, 0);
    multiply<Element, group>(
        a[1], b, sum, [&](ColumnFragments<n>& to, int first) { load_columns(to, first, slot, 0); });
  }
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
