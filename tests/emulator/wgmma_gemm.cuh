#pragma once

#include <cstdint>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/ptx/mbarrier.cuh"
#include "kernels/cuda/ptx/tma.cuh"
#include "kernels/cuda/ptx/wgmma.cuh"

/// C[m, n] = sum over k of A[m, k] B[n, k] in bf16 with sums in float, or of bytes with sums in
/// integers, on what is new in sm_90: copies of boxes that end phases of mbarriers, asked for by a
/// warp of their own, and products of a warpgroup. Tiles of 64 x 128 x 128 bytes in a ring of
/// slots; what is beyond the matrices is zero. Factor 2 in front of B (`doubles`): the warpgroup
/// changes B in shared memory itself.
namespace pixeldp::kernels::PIXELDP_DEVICE {

struct WgmmaGemmShape {
  int m, n, k;
};

/// Mistakes that tests make on purpose.
enum class WgmmaGemmFault {
  none,
  no_barrier_after_init,  // before others use the mbarriers
  no_fence_after_init,    // fence.proxy.async
  no_wait_for_full,       // products of a slot without waiting for its copies
  no_wait_for_empty,      // copies to a slot without waiting for its products
  early_release,          // of a slot whose products were not waited for
  one_arrival,            // by the first warp for all four
  few_bytes,              // one copy is not counted
  many_bytes,             // more than come
  no_products_fence,      // wgmma.fence
  no_commit,              // wgmma.commit_group
  no_wait_for_sums,       // wgmma.wait_group
  touched_sums,           // while products are under way
  write_without_fence,    // of what products read: no fence.proxy.async
  write_without_barrier,  // only by a fence, not by all of the warpgroup before anyone multiplies
  three_warps,            // the fourth makes no products
};

namespace wgmma_gemm {

constexpr int tile_m = 64, tile_n = 128, products = 4, slots = 2;
template <class Element>
inline constexpr int depth_of = 128 / sizeof(Element);
constexpr int consumer_warps = 4, threads = 32 * (consumer_warps + 1);

template <class Element>
struct Storage {
  alignas(1024) Element a[slots][tile_m * depth_of<Element>];
  Element b[slots][tile_n * depth_of<Element>];
  std::uint64_t full[slots], empty[slots], written;
};

/// Of bf16: the exponent of what is not zero.
__device__ __forceinline__ void double_value(std::uint16_t& value) {
  if (value != 0) value = static_cast<std::uint16_t>(value + 0x80);
}
__device__ __forceinline__ void double_value(std::int8_t& value) {
  value = static_cast<std::int8_t>(2 * value);
}

template <int count>
__device__ __forceinline__ void multiply(float (&sum)[count], std::uint64_t a, std::uint64_t b) {
  ptx::wgmma_bf16(sum, a, b);
}
template <int count>
__device__ __forceinline__ void multiply(std::int32_t (&sum)[count], std::uint64_t a,
                                         std::uint64_t b) {
  ptx::wgmma_s8(sum, a, b);
}

}  // namespace wgmma_gemm

template <WgmmaGemmFault fault, class Element, class Sum>
__global__ void __launch_bounds__(wgmma_gemm::threads)
    wgmma_gemm_kernel(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,
                      WgmmaGemmShape shape, bool doubles, Sum* __restrict__ c) {
  using namespace wgmma_gemm;
  using Fault = WgmmaGemmFault;
  constexpr int tile_k = depth_of<Element>;
  auto& shared = shared_storage<Storage<Element>>();
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const int first_m = static_cast<int>(blockIdx.y) * tile_m;
  const int first_n = static_cast<int>(blockIdx.x) * tile_n;
  const int steps = (shape.k + tile_k - 1) / tile_k;

  if (thread == 0) {
    for (int i = 0; i < slots; ++i) {
      ptx::mbarrier_init(&shared.full[i], 1);
      ptx::mbarrier_init(&shared.empty[i], fault == Fault::one_arrival ? 1 : consumer_warps);
    }
    ptx::mbarrier_init(&shared.written, 32 * consumer_warps);
    if constexpr (fault != Fault::no_fence_after_init) ptx::fence_proxy_async();
  }
  if constexpr (fault != Fault::no_barrier_after_init) __syncthreads();

  if (warp == consumer_warps) {
    if (lane != 0) return;
    for (int step = 0; step < steps; ++step) {
      const int slot = step % slots;
      const unsigned parity = static_cast<unsigned>(step / slots) % 2;
      if constexpr (fault != Fault::no_wait_for_empty)
        ptx::mbarrier_wait(&shared.empty[slot], parity ^ 1);
      constexpr int bytes = fault == Fault::few_bytes ? sizeof shared.a[0]
                            : fault == Fault::many_bytes
                                ? sizeof shared.a[0] + sizeof shared.b[0] + 16
                                : sizeof shared.a[0] + sizeof shared.b[0];
      ptx::mbarrier_arrive_expect(&shared.full[slot], bytes);
      ptx::copy_box(shared.a[slot], a, &shared.full[slot], step * tile_k, first_m);
      ptx::copy_box(shared.b[slot], b, &shared.full[slot], step * tile_k, first_n);
    }
    return;
  }

  Sum sum[tile_n / 2] = {};
  for (int step = 0; step < steps; ++step) {
    const int slot = step % slots;
    const unsigned parity = static_cast<unsigned>(step / slots) % 2;
    if constexpr (fault != Fault::no_wait_for_full) ptx::mbarrier_wait(&shared.full[slot], parity);
    if (doubles) {
      for (int i = 0; i < tile_k; ++i) double_value(shared.b[slot][thread * tile_k + i]);
      if constexpr (fault != Fault::write_without_fence) ptx::fence_proxy_async();
      if constexpr (fault != Fault::write_without_barrier) {
        ptx::mbarrier_arrive(&shared.written);
        ptx::mbarrier_wait(&shared.written, static_cast<unsigned>(step) % 2);
      }
    }
    if constexpr (fault != Fault::no_products_fence) ptx::wgmma_fence();
    const std::uint64_t rows_a = ptx::wgmma_rows(shared.a[slot]),
                        rows_b = ptx::wgmma_rows(shared.b[slot]);
    for (int k = 0; k < products; ++k) {
      if (fault == Fault::three_warps && warp == 3) continue;
      multiply(sum, rows_a + ptx::wgmma_step(0, k), rows_b + ptx::wgmma_step(0, k));
      if (fault == Fault::touched_sums && k == 1) sum[5] = Sum{1};
    }
    if constexpr (fault != Fault::no_commit) ptx::wgmma_commit();
    const bool arrives = lane == 0 && (fault != Fault::one_arrival || warp == 0);
    if (fault == Fault::early_release && arrives) ptx::mbarrier_arrive(&shared.empty[slot]);
    if constexpr (fault != Fault::no_wait_for_sums) ptx::wgmma_wait<0>();
    if (fault != Fault::early_release && arrives) ptx::mbarrier_arrive(&shared.empty[slot]);
  }

  for (int i = 0; i < tile_n / 2; ++i) {
    const int row = first_m + warp * 16 + lane / 4 + i / 2 % 2 * 8;
    const int column = first_n + i / 4 * 8 + lane % 4 * 2 + i % 2;
    if (row < shape.m && column < shape.n) c[std::int64_t{row} * shape.n + column] = sum[i];
  }
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
