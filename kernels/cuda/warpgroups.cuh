#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/arch.hpp"
#include "kernels/cuda/ptx/mbarrier.cuh"
#include "kernels/cuda/ptx/wgmma.cuh"

/// Blocks of three warpgroups (sm_90a): one thread of the first asks for the copies of steps of
/// operands, which end a phase of the mbarrier `full` of a slot of a ring; the two other warpgroups
/// multiply, and release a slot, once per warp, when the products of a step have read their
/// operands, which is when those of the next are under way.
namespace pixeldp::kernels::PIXELDP_DEVICE::warpgroups {

inline constexpr int warpgroup = 128, consumers = 2, threads = (1 + consumers) * warpgroup;
inline constexpr int consumer_warps = consumers * warpgroup / 32;
/// Of a product (its depth in bf16), and products of a step.
inline constexpr int product_rows = 64, product_depth = 16, step_products = 4;
/// What each thread of a block begins with, which takes all that a multiprocessor has. More than
/// the block has it cannot share out anew: setmaxnreg would wait for it forever.
constexpr int first_registers(int block_threads) {
  return sm_90.registers_per_multiprocessor / block_threads / 8 * 8;
}
/// What a thread takes while it brings, and while it multiplies.
inline constexpr int producer_registers = 40, consumer_registers = 232;
static_assert(warpgroup * (producer_registers + consumers * consumer_registers) <=
              threads * first_registers(threads));

/// A slot of the ring, and the parity of the phases in which it is used.
template <int stages>
struct RingSlot {
  int number = 0;
  unsigned parity = 0;

  __device__ __forceinline__ void next() {
    if (++number == stages) number = 0, parity ^= 1;
  }
};

/// By one thread, before a fence_proxy_async and a __syncthreads, or, where `blocks` of a cluster
/// release the slots, fence_mbarrier_init and the cluster's barrier.
template <int stages>
__device__ __forceinline__ void begin_ring(std::uint64_t (&full)[stages],
                                           std::uint64_t (&empty)[stages], unsigned blocks = 1) {
  for (int i = 0; i < stages; ++i) {
    ptx::mbarrier_init(&full[i], 1);
    ptx::mbarrier_init(&empty[i], consumer_warps * blocks);
  }
}

/// Where the first product of a step finds its operands. Products that a step does not fill are
/// left out from the first on, so that there is always a last one, with which the group closes:
/// `a` and `b` lie so many products before the step.
struct StepOperands {
  std::uint64_t a, b;
  int left_out;
};

/// Adds `steps` steps to the sums of a consumer's rows, of which a product has the first, the next
/// and so on. operands_of(slot) is asked once for each step; next_rows and next_depth lead to those
/// of the next product of a step, across and along the sums. release(slot) is called by all lanes
/// of a warp, for the slots of all steps but the last two. `slot`: of the first step, then of what
/// follows the last. Sum: float of bf16, int of bytes.
template <bool transposed, int stages, int row_products, int registers, class OperandsOf,
          class Release, class Sum>
__device__ __forceinline__ void multiply_steps(int steps, std::uint64_t (&full)[stages],
                                               std::uint64_t next_rows, std::uint64_t next_depth,
                                               const OperandsOf& operands_of,
                                               const Release& release, RingSlot<stages>& slot,
                                               Sum (&sum)[row_products][registers]) {
  int before = 0;
  for (int i = 0; i < row_products; ++i) ptx::keep_sums(sum[i]);
#pragma unroll 1
  for (int step = 0; step < steps; ++step) {
    ptx::mbarrier_wait(&full[slot.number], slot.parity);
    const StepOperands operands = operands_of(slot.number);
    const auto multiply = [&](int k) {
#pragma unroll
      for (int i = 0; i < row_products; ++i) {
        const std::uint64_t along = static_cast<std::uint64_t>(k) * next_depth;
        const std::uint64_t a = operands.a + static_cast<std::uint64_t>(i) * next_rows + along;
        if constexpr (std::is_same_v<Sum, float>)
          ptx::wgmma_bf16<transposed>(sum[i], a, operands.b + along);
        else
          ptx::wgmma_s8(sum[i], a, operands.b + along);
      }
    };
    if (operands.left_out == 0) {
      ptx::wgmma_fence();
#pragma unroll
      for (int k = 0; k < step_products; ++k) multiply(k);
    } else {
#pragma unroll 1
      for (int k = operands.left_out; k < step_products; ++k) {
        ptx::wgmma_fence();
        multiply(k);
      }
    }
    ptx::wgmma_commit();
    ptx::wgmma_wait<1>();  // for the products of the step before
    if (step > 0 && step + 1 < steps) release(before);
    before = slot.number;
    slot.next();
  }
  ptx::wgmma_wait<0>();
  for (int i = 0; i < row_products; ++i) ptx::keep_sums(sum[i]);
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE::warpgroups
