/// Tensor maps: by the driver, whose function is looked up when it is first needed, so that nothing
/// is linked with it; and by the emulator, which keeps the same in its own words.
#include <cstring>

#include "kernels/cuda/check.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/tensor_map.hpp"

#ifdef __CUDACC__
#include <cuda.h>  // types of the driver's interface
#endif

namespace pixeldp::kernels::PIXELDP_DEVICE {

#ifdef PIXELDP_EMULATED

TensorMap encode(const TensorBox& box) {
  box.check();
  emulator::TensorBoxMap map;
  map.rank = static_cast<std::uint8_t>(box.rank);
  map.element_bytes = static_cast<std::uint8_t>(box.element_bytes);
  map.swizzle = static_cast<std::uint8_t>(box.swizzle);
  map.address = static_cast<const std::byte*>(box.address);
  for (int i = 0; i < box.rank; ++i) {
    map.last[i] = static_cast<std::uint32_t>(box.size[i] - 1);
    map.box[i] = static_cast<std::uint16_t>(box.box[i]);
    if (i > 0) map.stride[i - 1] = static_cast<std::uint64_t>(box.stride[i]);
  }
  TensorMap result = {};
  std::memcpy(&result, &map, sizeof map);
  return result;
}

#else

namespace {

using Encode = decltype(&cuTensorMapEncodeTiled);

Encode driver_function() {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
  check_call(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000,
                                              cudaEnableDefault, &found),
             "asking for cuTensorMapEncodeTiled");
  if (found != cudaDriverEntryPointSuccess)
    check_call(cudaErrorInsufficientDriver, "asking the driver for cuTensorMapEncodeTiled");
  return reinterpret_cast<Encode>(function);
}

}  // namespace

TensorMap encode(const TensorBox& box) {
  box.check();
  static const Encode function = driver_function();
  cuuint64_t size[TensorBox::most_rank], stride[TensorBox::most_rank];
  cuuint32_t box_size[TensorBox::most_rank], steps[TensorBox::most_rank];
  for (int i = 0; i < box.rank; ++i) {
    size[i] = static_cast<cuuint64_t>(box.size[i]);
    if (i > 0) stride[i - 1] = static_cast<cuuint64_t>(box.stride[i]);
    box_size[i] = static_cast<cuuint32_t>(box.box[i]);
    steps[i] = 1;
  }
  const CUtensorMapSwizzle swizzle = box.swizzle == 128  ? CU_TENSOR_MAP_SWIZZLE_128B
                                     : box.swizzle == 64 ? CU_TENSOR_MAP_SWIZZLE_64B
                                     : box.swizzle == 32 ? CU_TENSOR_MAP_SWIZZLE_32B
                                                         : CU_TENSOR_MAP_SWIZZLE_NONE;
  static_assert(sizeof(TensorMap) == sizeof(CUtensorMap) &&
                alignof(TensorMap) == alignof(CUtensorMap));
  TensorMap result = {};
  const CUresult done = function(
      reinterpret_cast<CUtensorMap*>(&result),
      box.element_bytes == 1 ? CU_TENSOR_MAP_DATA_TYPE_UINT8 : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
      static_cast<cuuint32_t>(box.rank), const_cast<void*>(box.address), size, stride, box_size,
      steps, CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
      CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (done != CUDA_SUCCESS)
    check_call(cudaErrorInvalidValue, "encoding a tensor map (cuTensorMapEncodeTiled)");
  return result;
}

#endif

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
