#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/ptx/mbarrier.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE::ptx {

/// Two words to shared memory in one access. (An ordinary store of both nvcc may take apart, and
/// then lanes meet at a bank that would not otherwise.)
__device__ __forceinline__ void store_shared_pair(float2* shared, float2 value) {
#ifdef PIXELDP_EMULATED
  store_shared(shared, value);
#else
  asm volatile("st.shared.v2.f32 [%0], {%1, %2};" ::"r"(shared_address(shared)), "f"(value.x),
               "f"(value.y)
               : "memory");
#endif
}
__device__ __forceinline__ void store_shared_pair(uint2* shared, uint2 value) {
#ifdef PIXELDP_EMULATED
  store_shared(shared, value);
#else
  asm volatile("st.shared.v2.b32 [%0], {%1, %2};" ::"r"(shared_address(shared)), "r"(value.x),
               "r"(value.y)
               : "memory");
#endif
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE::ptx
