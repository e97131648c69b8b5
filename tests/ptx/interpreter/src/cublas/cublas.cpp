// Stand-in for cuBLAS: dense products, in the order of a stream, recorded under capture. Matrices
// are f32, f16 or bf16; sums are float in the order of k.
#include <algorithm>
#include <cstdio>
#include <thread>
#include <vector>

#include <cublas_v2.h>

#include "cudart/runtime.hpp"
#include "program/numeric.hpp"

using namespace ptxrun;

struct cublasContext {
  cudaStream_t stream = nullptr;
  cublasMath_t math = CUBLAS_DEFAULT_MATH;
  cublasPointerMode_t pointers = CUBLAS_POINTER_MODE_HOST;
};

namespace {
int size_of(cudaDataType_t t) {
  return t == CUDA_R_32F ? 4 : t == CUDA_R_16F || t == CUDA_R_16BF ? 2 : 0;
}
float load(const void* p, cudaDataType_t t, size_t i) {
  if (t == CUDA_R_32F) return ((const float*)p)[i];
  uint16_t h = ((const uint16_t*)p)[i];
  return t == CUDA_R_16F ? half_to_float(h) : bf16_to_float(h);
}
void store(void* p, cudaDataType_t t, size_t i, float v) {
  if (t == CUDA_R_32F)
    ((float*)p)[i] = v;
  else
    ((uint16_t*)p)[i] = t == CUDA_R_16F ? to_half(v) : bf16_round_nearest(v);
}
bool inside(const void* p, long long elements, int size, const char* what) {
  void* base;
  size_t n;
  if (!ptx_find_buffer(p, &base, &n)) {
    fprintf(stderr, "ptxrun: cuBLAS: matrix %s (%p) is not device memory\n", what, p);
    return false;
  }
  if ((char*)p + elements * size > (char*)base + n) {
    fprintf(stderr, "ptxrun: cuBLAS: matrix %s runs over its buffer of %zu bytes\n", what, n);
    return false;
  }
  return true;
}
// Column-major C (m x n) = alpha * op(A) * op(B) + beta * C.
struct Matrix {
  void* data;
  cudaDataType_t type;
  int stride;               // elements between columns
  bool transposed = false;  // op() transposes

  bool valid(int rows, int columns, const char* name) const {
    if (transposed) std::swap(rows, columns);
    return inside(data, (long long)stride * (columns - 1) + rows, size_of(type), name);
  }
  float at(int row, int column) const {
    if (transposed) std::swap(row, column);
    return load(data, type, (size_t)column * stride + row);
  }
  Matrix moved(long long elements) const {
    Matrix m = *this;
    m.data = (char*)data + elements * size_of(type);
    return m;
  }
};
struct Gemm {
  int m, n, k;
  Matrix A, B, C;
  float alpha = 0, beta = 0;

  bool valid() const {
    if (!m || !n) return true;
    return (!k || (A.valid(m, k, "A") && B.valid(k, n, "B"))) && C.valid(m, n, "C");
  }
  void columns(const std::vector<float>& a, int from, int to) const {
    std::vector<float> sum(m);
    for (int c = from; c < to; c++) {
      std::fill(sum.begin(), sum.end(), 0.f);
      for (int j = 0; j < k; j++) {
        const float b = B.at(j, c);
        const float* x = &a[(size_t)j * m];
        for (int i = 0; i < m; i++) sum[i] += x[i] * b;
      }
      for (int i = 0; i < m; i++) {
        float old = beta == 0 ? 0 : beta * C.at(i, c);
        store(C.data, C.type, (size_t)c * C.stride + i, alpha * sum[i] + old);
      }
    }
  }
  void run() const {
    std::vector<float> a((size_t)m * k);  // op(A), column after column
    for (int j = 0; j < k; j++)
      for (int i = 0; i < m; i++) a[(size_t)j * m + i] = A.at(i, j);
    int wanted = options().threads;
    int threads = wanted > 0 ? wanted : (int)std::thread::hardware_concurrency();
    if ((double)m * n * k < 1e6) threads = 1;
    threads = std::max(1, std::min(threads, n));
    std::vector<std::thread> pool;
    for (int t = 1; t < threads; t++)
      pool.emplace_back([&, t] {
        columns(a, (int)((long long)n * t / threads), (int)((long long)n * (t + 1) / threads));
      });
    columns(a, 0, n / threads);
    for (auto& thread : pool) thread.join();
  }
};

// Elements between the matrices of a batch.
struct Batch {
  int count = 1;
  long long A = 0, B = 0, C = 0;
};
bool valid_stride(const Matrix& x, int rows, int columns) {
  return x.stride >= std::max(1, x.transposed ? columns : rows);
}
cublasStatus_t gemm(cublasHandle_t handle, const Gemm& g, const void* alpha, const void* beta,
                    const Batch& batch = {}) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (g.m < 0 || g.n < 0 || g.k < 0 || batch.count < 0 || !valid_stride(g.A, g.m, g.k) ||
      !valid_stride(g.B, g.k, g.n) || !valid_stride(g.C, g.m, g.n))
    return CUBLAS_STATUS_INVALID_VALUE;
  if (!size_of(g.A.type) || !size_of(g.C.type) || g.A.type != g.B.type)
    return CUBLAS_STATUS_NOT_SUPPORTED;
  // On the device they are read when the work is done.
  const bool device = handle->pointers == CUBLAS_POINTER_MODE_DEVICE;
  const float *a = (const float*)alpha, *b = (const float*)beta;
  const float host_alpha = device ? 0 : *a, host_beta = device ? 0 : *b;
  auto work = [=] {
    for (int i = 0; i < batch.count; i++) {
      Gemm one = g;
      one.A = g.A.moved(i * batch.A);
      one.B = g.B.moved(i * batch.B);
      one.C = g.C.moved(i * batch.C);
      one.alpha = device ? *a : host_alpha;
      one.beta = device ? *b : host_beta;
      if (!one.valid()) return cudaErrorIllegalAddress;
      one.run();
    }
    return cudaSuccess;
  };
  ApiLock lock;
  return enqueue(handle->stream, Work(cudaGraphNodeTypeHost, work)) ? CUBLAS_STATUS_EXECUTION_FAILED
                                                                    : CUBLAS_STATUS_SUCCESS;
}
Matrix factor(const void* data, cudaDataType_t type, int stride, cublasOperation_t operation) {
  return {(void*)data, type, stride, operation != CUBLAS_OP_N};
}
bool sums_are_float(cublasComputeType_t compute) {
  return compute == CUBLAS_COMPUTE_32F || compute == CUBLAS_COMPUTE_32F_PEDANTIC ||
         compute == CUBLAS_COMPUTE_32F_FAST_TF32 || compute == CUBLAS_COMPUTE_32F_FAST_16BF ||
         compute == CUBLAS_COMPUTE_32F_FAST_16F;
}
}  // namespace

extern "C" {
cublasStatus_t cublasCreate_v2(cublasHandle_t* h) {
  *h = new cublasContext;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy_v2(cublasHandle_t h) {
  delete h;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream_v2(cublasHandle_t h, cudaStream_t s) {
  h->stream = s;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasGetStream_v2(cublasHandle_t h, cudaStream_t* s) {
  *s = h->stream;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t, void*, size_t) {
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetMathMode(cublasHandle_t h, cublasMath_t m) {
  h->math = m;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasGetMathMode(cublasHandle_t h, cublasMath_t* m) {
  *m = h->math;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetPointerMode_v2(cublasHandle_t h, cublasPointerMode_t m) {
  h->pointers = m;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasGetVersion_v2(cublasHandle_t, int* v) {
  *v = CUBLAS_VERSION;
  return CUBLAS_STATUS_SUCCESS;
}
const char* cublasGetStatusString(cublasStatus_t s) {
  switch (s) {
    case CUBLAS_STATUS_SUCCESS:
      return "success";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "the library was not initialized";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "an argument has a wrong value";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "the operation failed (see the ptxrun message)";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "the operation is not supported";
    default:
      return "unknown status";
  }
}
cublasStatus_t cublasSgemm_v2(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int m,
                              int n, int k, const float* alpha, const float* A, int lda,
                              const float* B, int ldb, const float* beta, float* C, int ldc) {
  return cublasSgemmStridedBatched(h, ta, tb, m, n, k, alpha, A, lda, 0, B, ldb, 0, beta, C, ldc, 0,
                                   1);
}
cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t h, cublasOperation_t ta,
                                         cublasOperation_t tb, int m, int n, int k,
                                         const float* alpha, const float* A, int lda, long long sa,
                                         const float* B, int ldb, long long sb, const float* beta,
                                         float* C, int ldc, long long sc, int batch) {
  return gemm(h,
              {m,
               n,
               k,
               factor(A, CUDA_R_32F, lda, ta),
               factor(B, CUDA_R_32F, ldb, tb),
               {C, CUDA_R_32F, ldc}},
              alpha, beta, {batch, sa, sb, sc});
}
cublasStatus_t cublasGemmEx(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int m,
                            int n, int k, const void* alpha, const void* A, cudaDataType at,
                            int lda, const void* B, cudaDataType bt, int ldb, const void* beta,
                            void* C, cudaDataType ct, int ldc, cublasComputeType_t compute,
                            cublasGemmAlgo_t algorithm) {
  return cublasGemmStridedBatchedEx(h, ta, tb, m, n, k, alpha, A, at, lda, 0, B, bt, ldb, 0, beta,
                                    C, ct, ldc, 0, 1, compute, algorithm);
}
cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t h, cublasOperation_t ta,
                                          cublasOperation_t tb, int m, int n, int k,
                                          const void* alpha, const void* A, cudaDataType at,
                                          int lda, long long sa, const void* B, cudaDataType bt,
                                          int ldb, long long sb, const void* beta, void* C,
                                          cudaDataType ct, int ldc, long long sc, int batch,
                                          cublasComputeType_t compute, cublasGemmAlgo_t) {
  if (!sums_are_float(compute)) return CUBLAS_STATUS_NOT_SUPPORTED;
  return gemm(h, {m, n, k, factor(A, at, lda, ta), factor(B, bt, ldb, tb), {C, ct, ldc}}, alpha,
              beta, {batch, sa, sb, sc});
}
}
