// cublas.cpp - small stand-in for cuBLAS: dense products on the CPU, in stream order, recorded
// under stream capture. Matrices are f32, f16 or bf16; sums are float in order of k.
// Other entries abort with their name (see the Makefile).
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include <cublas_v2.h>

#include "cudart_internal.h"
#include "program/numeric.hpp"
#include "ptxrun.h"

using ptxrun::bf16_round_nearest;
using ptxrun::bf16_to_float;
using ptxrun::half_to_float;
using ptxrun::to_half;

struct cublasContext {
  cudaStream_t stream = nullptr;
  cublasMath_t math = CUBLAS_DEFAULT_MATH;
  cublasPointerMode_t pointers = CUBLAS_POINTER_MODE_HOST;
};

namespace {
int sizeOf(cudaDataType_t t) {
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
struct Gemm {
  bool ta, tb;
  int m, n, k, lda, ldb, ldc;
  const void *A, *B;
  void* C;
  cudaDataType_t at, bt, ct;
  float alpha, beta;
  bool check() const {
    if (!m || !n) return true;
    long long a = (long long)lda * ((ta ? m : k) - 1) + (ta ? k : m);
    long long b = (long long)ldb * ((tb ? k : n) - 1) + (tb ? n : k);
    long long c = (long long)ldc * (n - 1) + m;
    return (!k || (inside(A, a, sizeOf(at), "A") && inside(B, b, sizeOf(bt), "B"))) &&
           inside(C, c, sizeOf(ct), "C");
  }
  void run() const {
    std::vector<float> a((size_t)m * k);  // op(A), column after column
    for (int j = 0; j < k; j++)
      for (int i = 0; i < m; i++)
        a[(size_t)j * m + i] = load(A, at, ta ? (size_t)i * lda + j : (size_t)j * lda + i);
    auto columns = [&](int from, int to) {
      std::vector<float> sum(m);
      for (int c = from; c < to; c++) {
        std::fill(sum.begin(), sum.end(), 0.f);
        for (int j = 0; j < k; j++) {
          float b = load(B, bt, tb ? (size_t)j * ldb + c : (size_t)c * ldb + j);
          const float* x = &a[(size_t)j * m];
          for (int i = 0; i < m; i++) sum[i] += x[i] * b;
        }
        for (int i = 0; i < m; i++) {
          size_t o = (size_t)c * ldc + i;
          float old = beta == 0 ? 0 : beta * load(C, ct, o);
          store(C, ct, o, alpha * sum[i] + old);
        }
      }
    };
    ptx_opts o;
    ptx_default_opts(&o);
    int threads = o.threads > 0 ? o.threads : (int)std::thread::hardware_concurrency();
    if ((double)m * n * k < 1e6) threads = 1;
    threads = std::max(1, std::min(threads, n));
    std::vector<std::thread> pool;
    for (int t = 1; t < threads; t++)
      pool.emplace_back(columns, (int)((long long)n * t / threads),
                        (int)((long long)n * (t + 1) / threads));
    columns(0, n / threads);
    for (auto& t : pool) t.join();
  }
};
cublasStatus_t gemm(cublasHandle_t h, Gemm g, const float* alpha, const float* beta, long long sa,
                    long long sb, long long sc, int batch) {
  if (!h) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (g.m < 0 || g.n < 0 || g.k < 0 || batch < 0 || g.lda < std::max(1, g.ta ? g.k : g.m) ||
      g.ldb < std::max(1, g.tb ? g.n : g.k) || g.ldc < std::max(1, g.m))
    return CUBLAS_STATUS_INVALID_VALUE;
  if (!sizeOf(g.at) || !sizeOf(g.bt) || !sizeOf(g.ct) || g.at != g.bt)
    return CUBLAS_STATUS_NOT_SUPPORTED;
  bool device = h->pointers == CUBLAS_POINTER_MODE_DEVICE;
  float hostAlpha = device ? 0 : *alpha, hostBeta = device ? 0 : *beta;
  cudaError_t e = ptxrun::enqueueHostWork(h->stream, [=] {
    for (int i = 0; i < batch; i++) {
      Gemm x = g;
      x.A = (const char*)g.A + (long long)i * sa * sizeOf(g.at);
      x.B = (const char*)g.B + (long long)i * sb * sizeOf(g.bt);
      x.C = (char*)g.C + (long long)i * sc * sizeOf(g.ct);
      x.alpha = device ? *alpha : hostAlpha;
      x.beta = device ? *beta : hostBeta;
      if (!x.check()) return cudaErrorIllegalAddress;
      x.run();
    }
    return cudaSuccess;
  });
  return e ? CUBLAS_STATUS_EXECUTION_FAILED : CUBLAS_STATUS_SUCCESS;
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
  return gemm(h,
              {ta != CUBLAS_OP_N, tb != CUBLAS_OP_N, m, n, k, lda, ldb, ldc, A, B, C, CUDA_R_32F,
               CUDA_R_32F, CUDA_R_32F, 0, 0},
              alpha, beta, 0, 0, 0, 1);
}
cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t h, cublasOperation_t ta,
                                         cublasOperation_t tb, int m, int n, int k,
                                         const float* alpha, const float* A, int lda, long long sa,
                                         const float* B, int ldb, long long sb, const float* beta,
                                         float* C, int ldc, long long sc, int batch) {
  return gemm(h,
              {ta != CUBLAS_OP_N, tb != CUBLAS_OP_N, m, n, k, lda, ldb, ldc, A, B, C, CUDA_R_32F,
               CUDA_R_32F, CUDA_R_32F, 0, 0},
              alpha, beta, sa, sb, sc, batch);
}
static bool floatCompute(cublasComputeType_t c) {
  return c == CUBLAS_COMPUTE_32F || c == CUBLAS_COMPUTE_32F_PEDANTIC ||
         c == CUBLAS_COMPUTE_32F_FAST_TF32 || c == CUBLAS_COMPUTE_32F_FAST_16BF ||
         c == CUBLAS_COMPUTE_32F_FAST_16F;
}
cublasStatus_t cublasGemmEx(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int m,
                            int n, int k, const void* alpha, const void* A, cudaDataType at,
                            int lda, const void* B, cudaDataType bt, int ldb, const void* beta,
                            void* C, cudaDataType ct, int ldc, cublasComputeType_t compute,
                            cublasGemmAlgo_t) {
  if (!floatCompute(compute)) return CUBLAS_STATUS_NOT_SUPPORTED;
  return gemm(
      h, {ta != CUBLAS_OP_N, tb != CUBLAS_OP_N, m, n, k, lda, ldb, ldc, A, B, C, at, bt, ct, 0, 0},
      (const float*)alpha, (const float*)beta, 0, 0, 0, 1);
}
cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t h, cublasOperation_t ta,
                                          cublasOperation_t tb, int m, int n, int k,
                                          const void* alpha, const void* A, cudaDataType at,
                                          int lda, long long sa, const void* B, cudaDataType bt,
                                          int ldb, long long sb, const void* beta, void* C,
                                          cudaDataType ct, int ldc, long long sc, int batch,
                                          cublasComputeType_t compute, cublasGemmAlgo_t) {
  if (!floatCompute(compute)) return CUBLAS_STATUS_NOT_SUPPORTED;
  return gemm(
      h, {ta != CUBLAS_OP_N, tb != CUBLAS_OP_N, m, n, k, lda, ldb, ldc, A, B, C, at, bt, ct, 0, 0},
      (const float*)alpha, (const float*)beta, sa, sb, sc, batch);
}
}  // extern "C"
