#pragma once

#include <cstdint>

#include "kernels/cuda/device.cuh"

/// Matrices of 8 x 8 16-bit values from shared memory to the registers of a warp (sm_75).
///
/// Lane 8 m + r gives the address of row r (16 bytes, aligned) of matrix m. registers[m] of lane
/// 4 g + t becomes row g, columns 2t (lower half) and 2t + 1 of matrix m; with `transposed`, rows
/// 2t and 2t + 1 of column g. All lanes of the warp must call it together.
namespace pixeldp::kernels::PIXELDP_DEVICE::ptx {

template <bool transposed = false>
__device__ __forceinline__ void ldmatrix(std::uint32_t (&registers)[1], const void* row) {
#ifdef PIXELDP_EMULATED
  emulator::ldmatrix(registers, 1, transposed, row);
#else
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(row));
  if constexpr (transposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];"
                 : "=r"(registers[0])
                 : "r"(address)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];"
                 : "=r"(registers[0])
                 : "r"(address)
                 : "memory");
  }
#endif
}

template <bool transposed = false>
__device__ __forceinline__ void ldmatrix(std::uint32_t (&registers)[2], const void* row) {
#ifdef PIXELDP_EMULATED
  emulator::ldmatrix(registers, 2, transposed, row);
#else
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(row));
  if constexpr (transposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(registers[0]), "=r"(registers[1])
                 : "r"(address)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(registers[0]), "=r"(registers[1])
                 : "r"(address)
                 : "memory");
  }
#endif
}

template <bool transposed = false>
__device__ __forceinline__ void ldmatrix(std::uint32_t (&registers)[4], const void* row) {
#ifdef PIXELDP_EMULATED
  emulator::ldmatrix(registers, 4, transposed, row);
#else
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(row));
  if constexpr (transposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
                 : "r"(address)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
                 : "r"(address)
                 : "memory");
  }
#endif
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE::ptx
