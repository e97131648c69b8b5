#pragma once

#include <cstdint>

#include "kernels/cuda/device.cuh"

/// Single precision to the operand formats of tensor cores (sm_80).
namespace pixeldp::kernels::PIXELDP_DEVICE::ptx {

/// Two bf16 in one register, each to nearest, ties to even.
__device__ __forceinline__ std::uint32_t to_bf16x2(float low, float high) {
#ifdef PIXELDP_EMULATED
  return emulator::to_bf16x2(low, high);
#else
  std::uint32_t bits = 0;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
  return bits;
#endif
}

/// tf32, to nearest, ties away from zero.
__device__ __forceinline__ std::uint32_t to_tf32(float value) {
#ifdef PIXELDP_EMULATED
  return emulator::to_tf32(value);
#else
  std::uint32_t bits = 0;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
  return bits;
#endif
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE::ptx
