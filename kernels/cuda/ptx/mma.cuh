#pragma once

#include <cstdint>

#include "kernels/cuda/device.cuh"

/// Matrix products of a warp on tensor cores (sm_80): d += a b, with A 16 x K row-major, B K x 8
/// column-major, D 16 x 8. All lanes of the warp must call it together.
///
/// Lane 4 g + t holds, per 32-bit register of n = 2 (bf16), 1 (tf32) or 4 (s8) consecutive k:
///
///   a[0] row g, k = n t ...    a[1] row g + 8, the same k    a[2], a[3] as before, k + K/2
///   b[0] column g, k = n t ... b[1] the same, k + K/2
///   d[0] (g, 2t)   d[1] (g, 2t + 1)   d[2] (g + 8, 2t)   d[3] (g + 8, 2t + 1)
///
/// Source: PTX ISA, "Matrix Fragments for mma.m16n8k16", "... m16n8k8", "... m16n8k32".
namespace pixeldp::kernels::PIXELDP_DEVICE::ptx {

/// K = 16, operands bf16, sums in single precision.
__device__ __forceinline__ void mma_bf16(float (&d)[4], const std::uint32_t (&a)[4],
                                         const std::uint32_t (&b)[2]) {
#ifdef PIXELDP_EMULATED
  emulator::mma_m16n8k16_bf16(d, a, b, d);
#else
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

/// K = 8, operands rounded by to_tf32, sums in single precision.
__device__ __forceinline__ void mma_tf32(float (&d)[4], const std::uint32_t (&a)[4],
                                         const std::uint32_t (&b)[2]) {
#ifdef PIXELDP_EMULATED
  emulator::mma_m16n8k8_tf32(d, a, b, d);
#else
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

/// K = 32, operands signed bytes, sums in 32-bit integers that wrap around.
__device__ __forceinline__ void mma_s8(std::int32_t (&d)[4], const std::uint32_t (&a)[4],
                                       const std::uint32_t (&b)[2]) {
#ifdef PIXELDP_EMULATED
  emulator::mma_m16n8k32_s8(d, a, b, d);
#else
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE::ptx
