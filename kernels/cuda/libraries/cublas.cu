/// c = op(a) op(b), row-major, which cuBLAS, whose matrices are column-major, is told as the
/// product of the transposed: c^T = op(b)^T op(a)^T.
///
/// Operands stay in single precision in memory; cuBLAS rounds them on the way to the tensor cores
/// (CUBLAS_COMPUTE_32F_FAST_16BF, _FAST_TF32) or not at all (_PEDANTIC). Sums are in single
/// precision.
///
/// Determinism: each stream has a handle and a workspace of its own, and atomics are forbidden, as
/// they are unasked; so the same product has the same bits on the same GPU and version of cuBLAS,
/// and can be recorded into a graph. But cuBLAS chooses an algorithm by the whole shape: unlike
/// with the project's own kernels, the bits of a row may change with the number of rows. Where
/// those matter, micro-batches must have a fixed shape.
///
/// The library is not linked: a machine without it runs the same program (available()).
#include <algorithm>

#include "kernels/cuda/libraries/cublas.hpp"
#include "kernels/cuda/libraries/library.hpp"
#include "kernels/cuda/libraries/stream_handles.cuh"

#if __has_include(<cublas_v2.h>)

#include <cublas_v2.h>

/// The functions that are called; cublas_v2.h gives them their names in the library, by macros.
#define PIXELDP_CUBLAS_FUNCTIONS(X) \
  X(cublasCreate)                   \
  X(cublasDestroy)                  \
  X(cublasSetStream)                \
  X(cublasSetWorkspace)             \
  X(cublasGetStatusString)

namespace pixeldp::kernels::cuda::cublas {
namespace {

/// cublasGemmEx has overloads in C++; the library has this.
using GemmEx = cublasStatus_t(cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int, int,
                              const void*, const void*, cudaDataType, int, const void*,
                              cudaDataType, int, const void*, void*, cudaDataType, int,
                              cublasComputeType_t, cublasGemmAlgo_t);

struct Functions {
  Library library =
      Library("libcublas.so." PIXELDP_TEXT(CUBLAS_VER_MAJOR), PIXELDP_TEXT(cublasCreate));
  PIXELDP_LIBRARY_FUNCTIONS(PIXELDP_CUBLAS_FUNCTIONS)
  GemmEx* gemm_ex = nullptr;
  bool available = complete && library.find(PIXELDP_TEXT(cublasGemmEx), gemm_ex);
};

const Functions& functions() {
  static const Functions functions;
  return functions;
}

void check_status(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS)
    device_call_failed(functions().cublasGetStatusString(status), what);
}

struct Handle {
  static constexpr const char* what = "making a handle of cuBLAS";
  static constexpr std::size_t workspace_bytes = 32 << 20;  // what NVIDIA advises for Hopper

  cublasHandle_t handle = nullptr;
  void* workspace = nullptr;

  explicit Handle(cudaStream_t stream) {
    check_status(functions().cublasCreate(&handle), what);
    try {
      check_allocation(cudaMalloc(&workspace, workspace_bytes), workspace_bytes);
      // In this order: a new stream takes the workspace away.
      check_status(functions().cublasSetStream(handle, stream), what);
      check_status(functions().cublasSetWorkspace(handle, workspace, workspace_bytes), what);
    } catch (...) {
      close();
      throw;
    }
  }
  ~Handle() { close(); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

 private:
  void close() {
    functions().cublasDestroy(handle);
    cudaFree(workspace);
  }
};

/// Never destroyed: at the end of the program the driver may be gone before.
StreamHandles<Handle>& handles() {
  static auto& handles = *new StreamHandles<Handle>();
  return handles;
}

cublasComputeType_t compute_type(Precision precision) {
  switch (precision) {
    case Precision::bf16:
      return CUBLAS_COMPUTE_32F_FAST_16BF;
    case Precision::tf32:
      return CUBLAS_COMPUTE_32F_FAST_TF32;
    case Precision::fp32:
      return CUBLAS_COMPUTE_32F_PEDANTIC;
    case Precision::int8:
      break;
  }
  device_call_failed("its operands are rounded to no such precision", "a product by cuBLAS");
}

}  // namespace

bool available() { return functions().available; }

void gemm(void* stream, const Gemm& gemm, Precision precision, const float* a, const float* b,
          float* c) {
  check_gemm(gemm, precision);
  if (!available()) device_call_failed("the library was not found", "a product by cuBLAS");
  if (gemm.m == 0 || gemm.n == 0) return;
  const auto operation = [](bool transpose) { return transpose ? CUBLAS_OP_T : CUBLAS_OP_N; };
  const int m = static_cast<int>(gemm.m), n = static_cast<int>(gemm.n),
            k = static_cast<int>(gemm.k);
  const int row_of_a = gemm.transpose_a ? m : std::max(k, 1);
  const int row_of_b = gemm.transpose_b ? std::max(k, 1) : n;
  const float one = 1.0f, before = gemm.accumulate ? 1.0f : 0.0f;
  check_status(
      functions().gemm_ex(handles().of(static_cast<cudaStream_t>(stream)).handle,
                          operation(gemm.transpose_b), operation(gemm.transpose_a), n, m, k, &one,
                          b, CUDA_R_32F, row_of_b, a, CUDA_R_32F, row_of_a, &before, c, CUDA_R_32F,
                          n, compute_type(precision), CUBLAS_GEMM_DEFAULT),
      "a product by cuBLAS");
}

void release(void* stream) {
  if (available()) handles().drop(static_cast<cudaStream_t>(stream));
}

}  // namespace pixeldp::kernels::cuda::cublas

#else  // nothing to call it by

namespace pixeldp::kernels::cuda::cublas {

bool available() { return false; }

void gemm(void*, const Gemm& gemm, Precision precision, const float*, const float*, float*) {
  check_gemm(gemm, precision);
  device_call_failed("the program was built without its headers", "a product by cuBLAS");
}

void release(void*) {}

}  // namespace pixeldp::kernels::cuda::cublas

#endif
