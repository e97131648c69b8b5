// check.h - what the tests share: assertions, device buffers, bf16 rounding, random numbers.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include <cuda_runtime.h>

static int failures = 0, checks = 0;
#define CHECK(cond, ...)                                   \
  do {                                                     \
    checks++;                                              \
    if (!(cond)) {                                         \
      failures++;                                          \
      printf("FAIL %s:%d %s ", __FILE__, __LINE__, #cond); \
      printf("" __VA_ARGS__);                              \
      printf("\n");                                        \
    }                                                      \
  } while (0)
#define CUDA(call)                                                                      \
  do {                                                                                  \
    cudaError_t e_ = (call);                                                            \
    checks++;                                                                           \
    if (e_) {                                                                           \
      failures++;                                                                       \
      printf("FAIL %s:%d %s: %s\n", __FILE__, __LINE__, #call, cudaGetErrorString(e_)); \
    }                                                                                   \
  } while (0)
static inline int finish(const char* name) {
  printf("%s %s: %d checks, %d failures\n", failures ? "FAIL" : "PASS", name, checks, failures);
  return failures ? 1 : 0;
}

template <class T>
struct Buffer {
  T* p = nullptr;
  size_t n;
  explicit Buffer(size_t count) : n(count) { CUDA(cudaMalloc(&p, n * sizeof(T))); }
  explicit Buffer(const std::vector<T>& v) : Buffer(v.size()) {
    CUDA(cudaMemcpy(p, v.data(), n * sizeof(T), cudaMemcpyHostToDevice));
  }
  ~Buffer() { CUDA(cudaFree(p)); }
  Buffer(const Buffer&) = delete;
  operator T*() const { return p; }
  std::vector<T> host() const {
    std::vector<T> v(n);
    CUDA(cudaMemcpy(v.data(), p, n * sizeof(T), cudaMemcpyDeviceToHost));
    return v;
  }
};

static std::mt19937_64 rng(12345);
static inline std::vector<float> normal(size_t n) {
  std::normal_distribution<float> d;
  std::vector<float> v(n);
  for (auto& x : v) x = d(rng);
  return v;
}
static inline uint16_t toBf16(float f) {
  uint32_t u;
  memcpy(&u, &f, 4);
  return (uint16_t)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}
static inline float fromBf16(uint16_t h) {
  uint32_t u = (uint32_t)h << 16;
  float f;
  memcpy(&f, &u, 4);
  return f;
}
static inline float toTf32(float f) {
  uint32_t u;
  memcpy(&u, &f, 4);
  u = (u + 0x1000) & 0xffffe000u;
  memcpy(&f, &u, 4);
  return f;
}
