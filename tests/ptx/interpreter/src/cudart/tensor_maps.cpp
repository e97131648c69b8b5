// The one call of the driver that is there: tensor maps for cp.async.bulk.tensor.
#include <cstdio>
#include <cstring>

#include <cuda.h>
#include <cuda_runtime_api.h>

#include "program/tensor_map.hpp"

using namespace ptxrun;

namespace {
struct ElementType {
  CUtensorMapDataType type;
  uint8_t bytes;
  bool is_float;
};
const ElementType* find_type(CUtensorMapDataType type) {
  static const ElementType types[] = {
      {CU_TENSOR_MAP_DATA_TYPE_UINT8, 1, false},      {CU_TENSOR_MAP_DATA_TYPE_UINT16, 2, false},
      {CU_TENSOR_MAP_DATA_TYPE_UINT32, 4, false},     {CU_TENSOR_MAP_DATA_TYPE_INT32, 4, false},
      {CU_TENSOR_MAP_DATA_TYPE_UINT64, 8, false},     {CU_TENSOR_MAP_DATA_TYPE_INT64, 8, false},
      {CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 2, true},     {CU_TENSOR_MAP_DATA_TYPE_FLOAT32, 4, true},
      {CU_TENSOR_MAP_DATA_TYPE_FLOAT64, 8, true},     {CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, true},
      {CU_TENSOR_MAP_DATA_TYPE_FLOAT32_FTZ, 4, true}, {CU_TENSOR_MAP_DATA_TYPE_TFLOAT32, 4, true},
      {CU_TENSOR_MAP_DATA_TYPE_TFLOAT32_FTZ, 4, true}};
  for (auto& known : types)
    if (known.type == type) return &known;
  return nullptr;
}
// The bytes that a swizzle spans, 0 without one. False: it is none that there is.
bool find_span(CUtensorMapSwizzle swizzle, uint8_t& span) {
  switch (swizzle) {
    case CU_TENSOR_MAP_SWIZZLE_NONE:
      span = 0;
      return true;
    case CU_TENSOR_MAP_SWIZZLE_32B:
      span = 32;
      return true;
    case CU_TENSOR_MAP_SWIZZLE_64B:
      span = 64;
      return true;
    case CU_TENSOR_MAP_SWIZZLE_128B:
      span = 128;
      return true;
    default:
      return false;
  }
}
}  // namespace

extern "C" {
CUresult cuTensorMapEncodeTiled(CUtensorMap* out, CUtensorMapDataType type, cuuint32_t rank,
                                void* address, const cuuint64_t* sizes, const cuuint64_t* strides,
                                const cuuint32_t* box, const cuuint32_t* steps,
                                CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                                CUtensorMapL2promotion, CUtensorMapFloatOOBfill fill) {
  auto refuse = [](const char* why) {
    fprintf(stderr, "ptxrun: cuTensorMapEncodeTiled: %s\n", why);
    return CUDA_ERROR_INVALID_VALUE;
  };
  TensorMap map{};
  const ElementType* element = find_type(type);
  if (!out || (size_t)out & 63) return refuse("the map must be aligned to 64 bytes");
  if (!element) return refuse("this data type is not supported by ptxrun");
  if (rank < 1 || rank > 5) return refuse("rank must be 1 to 5");
  if ((size_t)address & 15) return refuse("the tensor must be aligned to 16 bytes");
  if (interleave != CU_TENSOR_MAP_INTERLEAVE_NONE)
    return refuse("interleaved layouts are not supported by ptxrun");
  if (!find_span(swizzle, map.swizzle)) return refuse("this swizzle is not supported by ptxrun");
  map.magic = tensor_map_magic;
  map.rank = (uint8_t)rank;
  map.element_bytes = element->bytes;
  map.is_float = element->is_float;
  map.fill = fill == CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE ? FILL_ZERO : FILL_NAN;
  if (map.fill == FILL_NAN && !map.is_float) return refuse("NaN fill of an integer tensor");
  map.address = (uint64_t)address;
  for (unsigned d = 0; d < rank; d++) {
    if (!sizes[d] || sizes[d] > 1ull << 32) return refuse("a dimension must be 1 to 2^32");
    if (!box[d] || box[d] > 256) return refuse("a box dimension must be 1 to 256");
    if (steps[d] != 1) return refuse("element strides other than 1 are not supported by ptxrun");
    map.last[d] = (uint32_t)(sizes[d] - 1);
    map.box[d] = (uint16_t)box[d];
    if (d + 1 == rank) continue;
    if (strides[d] & 15 || strides[d] >= 1ull << 40)
      return refuse("a stride must be a multiple of 16 bytes below 2^40");
    map.stride[d] = strides[d];
  }
  const size_t inner = (size_t)box[0] * map.element_bytes;
  if (inner & 15) return refuse("the inner box dimension must be a multiple of 16 bytes");
  if (map.swizzle && inner > map.swizzle)
    return refuse("the inner box dimension exceeds the swizzle");
  memset((void*)out, 0, sizeof *out);
  memcpy((void*)out, &map, sizeof map);
  return CUDA_SUCCESS;
}

cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** entry, unsigned,
                                             unsigned long long,
                                             cudaDriverEntryPointQueryResult* found) {
  const bool known = !strcmp(name, "cuTensorMapEncodeTiled");
  *entry = known ? (void*)cuTensorMapEncodeTiled : nullptr;
  if (found) *found = known ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}
cudaError_t cudaGetDriverEntryPoint(const char* name, void** entry, unsigned long long flags,
                                    cudaDriverEntryPointQueryResult* found) {
  return cudaGetDriverEntryPointByVersion(name, entry, 0, flags, found);
}
}
