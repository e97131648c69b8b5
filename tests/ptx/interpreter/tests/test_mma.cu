// mma.sync: fragments are built on the host from the element positions that the PTX ISA manual
// gives for each shape (group = lane / 4, member = lane % 4), independently of the interpreter.
#include <functional>

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include "check.hpp"

using std::vector;

// One kernel per shape: registers of each lane are read from and written to global memory.
#define MMA_KERNEL(name, NA, NB, NC, TC, text, ...)                                \
  __global__ void name(const uint32_t* A, const uint32_t* B, const TC* C, TC* D) { \
    uint32_t a[NA], b[NB];                                                         \
    TC c[NC], d[NC];                                                               \
    for (int i = 0; i < NA; i++) a[i] = A[threadIdx.x * NA + i];                   \
    for (int i = 0; i < NB; i++) b[i] = B[threadIdx.x * NB + i];                   \
    for (int i = 0; i < NC; i++) c[i] = C[threadIdx.x * NC + i];                   \
    asm volatile(text : __VA_ARGS__);                                              \
    for (int i = 0; i < NC; i++) D[threadIdx.x * NC + i] = d[i];                   \
  }
#define OF4 "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
#define OR4 "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
#define OR2 "=r"(d[0]), "=r"(d[1])
#define IF4 "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3])
#define IR4 "r"(c[0]), "r"(c[1]), "r"(c[2]), "r"(c[3])
#define A4 "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3])
#define A2 "r"(a[0]), "r"(a[1])
#define B2 "r"(b[0]), "r"(b[1])
#define B1 "r"(b[0])
#define T422 " {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%10,%11,%12,%13};"
#define T421 " {%0,%1,%2,%3},{%4,%5},{%6},{%7,%8,%9,%10};"
#define P "mma.sync.aligned."
MMA_KERNEL(bf16k16, 4, 2, 4, float, P "m16n8k16.row.col.f32.bf16.bf16.f32" T422, OF4 : A4, B2, IF4)
MMA_KERNEL(f16k16, 4, 2, 4, float, P "m16n8k16.row.col.f32.f16.f16.f32" T422, OF4 : A4, B2, IF4)
MMA_KERNEL(bf16k8, 2, 1, 4, float, P "m16n8k8.row.col.f32.bf16.bf16.f32" T421, OF4 : A2, B1, IF4)
MMA_KERNEL(f16k8, 2, 1, 4, float, P "m16n8k8.row.col.f32.f16.f16.f32" T421, OF4 : A2, B1, IF4)
MMA_KERNEL(tf32k8, 4, 2, 4, float, P "m16n8k8.row.col.f32.tf32.tf32.f32" T422, OF4 : A4, B2, IF4)
MMA_KERNEL(tf32k4, 2, 1, 4, float, P "m16n8k4.row.col.f32.tf32.tf32.f32" T421, OF4 : A2, B1, IF4)
MMA_KERNEL(s8k16, 2, 1, 4, uint32_t, P "m16n8k16.row.col.s32.s8.s8.s32" T421, OR4 : A2, B1, IR4)
MMA_KERNEL(s8k32, 4, 2, 4, uint32_t, P "m16n8k32.row.col.s32.s8.s8.s32" T422, OR4 : A4, B2, IR4)
MMA_KERNEL(u8s8k32, 4, 2, 4, uint32_t, P "m16n8k32.row.col.s32.u8.s8.s32" T422, OR4 : A4, B2, IR4)
MMA_KERNEL(s8m8, 1, 1, 2, uint32_t,
           P
           "m8n8k16.row.col.s32.s8.s8.s32"
           " {%0,%1},{%2},{%3},{%4,%5};",
           OR2
           : "r"(a[0]), B1, "r"(c[0]), "r"(c[1]))
MMA_KERNEL(f16acc, 4, 2, 2, uint32_t,
           P
           "m16n8k16.row.col.f16.f16.f16.f16"
           " {%0,%1},{%2,%3,%4,%5},{%6,%7},{%8,%9};",
           OR2
           : A4, B2, "r"(c[0]), "r"(c[1]))
#ifdef FP8
MMA_KERNEL(e4m3k32, 4, 2, 4, float, P "m16n8k32.row.col.f32.e4m3.e4m3.f32" T422, OF4 : A4, B2, IF4)
MMA_KERNEL(e5m2k32, 4, 2, 4, float, P "m16n8k32.row.col.f32.e5m2.e5m2.f32" T422, OF4 : A4, B2, IF4)
#endif
__global__ void f64k4(const double* A, const double* B, const double* C, double* D) {
  int l = threadIdx.x;
  double d0, d1;
  asm volatile("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0,%1},{%2},{%3},{%4,%5};"
               : "=d"(d0), "=d"(d1)
               : "d"(A[l]), "d"(B[l]), "d"(C[2 * l]), "d"(C[2 * l + 1]));
  D[2 * l] = d0;
  D[2 * l + 1] = d1;
}

// Positions of element i of a lane, from the manual's figures for each shape.
struct Pos {
  int row, col;
};
typedef std::function<Pos(int lane, int i)> Layout;
static Layout layoutA(int M, int K, int bits) {
  return [=](int lane, int i) {
    int g = lane / 4, m = lane % 4;
    if (M == 8) return Pos{g, m * 4 + i};                                         // m8n8k16 s8
    if (bits == 32 && K == 4) return Pos{i == 0 ? g : g + 8, m};                  // m16n8k4 tf32
    if (bits == 32) return Pos{i == 0 || i == 2 ? g : g + 8, i < 2 ? m : m + 4};  // m16n8k8 tf32
    if (bits == 16 && K == 8) return Pos{i < 2 ? g : g + 8, m * 2 + (i & 1)};
    if (bits == 16)
      return Pos{i < 2 || (i >= 4 && i < 6) ? g : g + 8, m * 2 + (i & 1) + (i >= 4 ? 8 : 0)};
    if (K == 16) return Pos{i < 4 ? g : g + 8, m * 4 + (i & 3)};
    return Pos{i < 4 || (i >= 8 && i < 12) ? g : g + 8, m * 4 + (i & 3) + (i >= 8 ? 16 : 0)};
  };
}
static Layout layoutB(int K, int bits) {
  return [=](int lane, int i) {
    int g = lane / 4, m = lane % 4;
    if (bits == 32) return Pos{i == 0 ? m : m + 4, g};
    if (bits == 16) return Pos{m * 2 + (i & 1) + (i >= 2 ? 8 : 0), g};
    return Pos{m * 4 + (i & 3) + (i >= 4 ? 16 : 0), g};
  };
}
static Pos positionC(int lane, int i) {
  return {lane / 4 + (i >= 2 ? 8 : 0), lane % 4 * 2 + (i & 1)};
}

enum Kind { BF, HF, TF, I8, UI8, E4, E5 };
static int bitsOf(Kind k) { return k == TF ? 32 : k == BF || k == HF ? 16 : 8; }
// A random value of a type: its bits and its value.
static uint32_t draw(Kind k, double* v) {
  float f = normal(1)[0];
  uint32_t u = 0;
  switch (k) {
    case BF:
      u = toBf16(f);
      *v = fromBf16(u);
      break;
    case HF: {
      __half h = __float2half(f);
      memcpy(&u, &h, 2);
      *v = __half2float(h);
      break;
    }
    case TF:
      f = toTf32(f);
      memcpy(&u, &f, 4);
      *v = f;
      break;
    case I8:
      u = rng() & 255;
      *v = (int8_t)u;
      break;
    case UI8:
      u = rng() & 255;
      *v = u;
      break;
    case E4: {
      __nv_fp8_e4m3 h(f);
      u = h.__x;
      *v = (float)h;
      break;
    }
    case E5: {
      __nv_fp8_e5m2 h(f);
      u = h.__x;
      *v = (float)h;
      break;
    }
  }
  return u;
}
template <class TC>
static void run(const char* name, void (*kernel)(const uint32_t*, const uint32_t*, const TC*, TC*),
                int M, int K, Kind ka, Kind kb, bool halfAcc = false) {
  int bits = bitsOf(ka), per = 32 / bits;
  int ea = M * K / 32, eb = K * 8 / 32, ec = M * 8 / 32;
  vector<double> A(M * K), B(K * 8), C(M * 8);
  vector<uint32_t> ra(M * K), rb(K * 8), rc(M * 8);
  for (int i = 0; i < M * K; i++) ra[i] = draw(ka, &A[i]);
  for (int i = 0; i < K * 8; i++) rb[i] = draw(kb, &B[i]);
  for (int i = 0; i < M * 8; i++) {
    if (halfAcc) {
      rc[i] = draw(HF, &C[i]);
    } else if (sizeof(TC) == 4 && std::is_same<TC, float>::value) {
      float f = normal(1)[0];
      memcpy(&rc[i], &f, 4);
      C[i] = f;
    } else {
      rc[i] = (uint32_t)(int)(rng() % 2001 - 1000);
      C[i] = (int)rc[i];
    }
  }
  auto la = layoutA(M, K, bits), lb = layoutB(K, bits);
  int ra_n = ea / per, rb_n = eb / per, rc_n = halfAcc ? ec / 2 : ec;
  vector<uint32_t> fa(32 * ra_n, 0), fb(32 * rb_n, 0), fc(32 * rc_n, 0);
  for (int l = 0; l < 32; l++) {
    for (int i = 0; i < ea; i++) {
      Pos p = la(l, i);
      fa[l * ra_n + i / per] |= ra[p.row * K + p.col] << (bits * (i % per) % 32);
    }
    for (int i = 0; i < eb; i++) {
      Pos p = lb(l, i);
      fb[l * rb_n + i / per] |= rb[p.row * 8 + p.col] << (bits * (i % per) % 32);
    }
    for (int i = 0; i < ec; i++) {
      Pos p = positionC(l, i);
      if (halfAcc)
        fc[l * rc_n + i / 2] |= rc[p.row * 8 + p.col] << (16 * (i % 2));
      else
        fc[l * rc_n + i] = rc[p.row * 8 + p.col];
    }
  }
  Buffer<uint32_t> da(fa), db(fb), dc(fc), dd(fc.size());
  kernel<<<1, 32>>>(da, db, (const TC*)dc.p, (TC*)dd.p);
  CUDA(cudaDeviceSynchronize());
  auto fd = dd.host();
  double worst = 0;
  for (int l = 0; l < 32; l++)
    for (int i = 0; i < ec; i++) {
      Pos p = positionC(l, i);
      double s = C[p.row * 8 + p.col], got;
      for (int k = 0; k < K; k++) s += A[p.row * K + k] * B[k * 8 + p.col];
      if (halfAcc) {
        uint16_t u = (uint16_t)(fd[l * rc_n + i / 2] >> (16 * (i % 2)));
        __half h;
        memcpy(&h, &u, 2);
        got = __half2float(h);
      } else if (std::is_same<TC, float>::value) {
        float f;
        memcpy(&f, &fd[l * rc_n + i], 4);
        got = f;
      } else {
        got = (int)fd[l * rc_n + i];
      }
      worst = fmax(worst, fabs(got - s));
    }
  double allowed = halfAcc ? 2e-2 : bits == 8 && (ka == I8 || ka == UI8) ? 0 : 2e-5;
  CHECK(worst <= allowed, "%s error %g", name, worst);
}

// ldmatrix, movmatrix: row r, column c of matrix q holds 1000 q + 10 r + c.
__global__ void matrices(uint32_t* plain, uint32_t* trans, uint32_t* moved) {
  __shared__ __align__(16) uint16_t s[4][8][8];
  for (int i = threadIdx.x; i < 256; i += 32)
    s[i / 64][i / 8 % 8][i % 8] = i / 64 * 1000 + i / 8 % 8 * 10 + i % 8;
  __syncwarp();
  uint32_t a = (uint32_t)__cvta_generic_to_shared(&s[threadIdx.x / 8][threadIdx.x % 8][0]), r[4],
           t[4], v;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3},[%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(a));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3},[%4];"
               : "=r"(t[0]), "=r"(t[1]), "=r"(t[2]), "=r"(t[3])
               : "r"(a));
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0,%1;" : "=r"(v) : "r"(r[2]));
  for (int q = 0; q < 4; q++) {
    plain[threadIdx.x * 4 + q] = r[q];
    trans[threadIdx.x * 4 + q] = t[q];
  }
  moved[threadIdx.x] = v;
}

int main() {
  run("bf16 k16", bf16k16, 16, 16, BF, BF);
  run("f16 k16", f16k16, 16, 16, HF, HF);
  run("bf16 k8", bf16k8, 16, 8, BF, BF);
  run("f16 k8", f16k8, 16, 8, HF, HF);
  run("tf32 k8", tf32k8, 16, 8, TF, TF);
  run("tf32 k4", tf32k4, 16, 4, TF, TF);
  run("s8 k16", s8k16, 16, 16, I8, I8);
  run("s8 k32", s8k32, 16, 32, I8, I8);
  run("u8 s8 k32", u8s8k32, 16, 32, UI8, I8);
  run("s8 m8", s8m8, 8, 16, I8, I8);
  run("f16 accumulate", f16acc, 16, 16, HF, HF, true);
#ifdef FP8
  run("e4m3 k32", e4m3k32, 16, 32, E4, E4);
  run("e5m2 k32", e5m2k32, 16, 32, E5, E5);
#endif
  {  // m8n8k4 f64: A row = group, column = member; B row = member, column = group
    vector<double> A(32), B(32), C(64), fa(32), fb(32), fc(64);
    for (auto* v : {&A, &B, &C})
      for (auto& x : *v) x = normal(1)[0];
    for (int l = 0; l < 32; l++) {
      fa[l] = A[l / 4 * 4 + l % 4];
      fb[l] = B[l % 4 * 8 + l / 4];
      for (int i = 0; i < 2; i++) fc[2 * l + i] = C[l / 4 * 8 + l % 4 * 2 + i];
    }
    Buffer<double> da(fa), db(fb), dc(fc), dd(64);
    f64k4<<<1, 32>>>(da, db, dc, dd);
    CUDA(cudaDeviceSynchronize());
    auto d = dd.host();
    for (int l = 0; l < 32; l++)
      for (int i = 0; i < 2; i++) {
        int r = l / 4, c = l % 4 * 2 + i;
        double s = C[r * 8 + c];
        for (int k = 0; k < 4; k++) s += A[r * 4 + k] * B[k * 8 + c];
        CHECK(fabs(d[2 * l + i] - s) < 1e-13);
      }
  }
  {
    Buffer<uint32_t> p(128), t(128), m(32);
    matrices<<<1, 32>>>(p, t, m);
    CUDA(cudaDeviceSynchronize());
    auto hp = p.host(), ht = t.host(), hm = m.host();
    for (int l = 0; l < 32; l++) {
      auto at = [](int q, int r, int c) { return (uint32_t)(1000 * q + 10 * r + c); };
      int g = l / 4, c = l % 4 * 2;
      for (int q = 0; q < 4; q++) {
        CHECK(hp[l * 4 + q] == (at(q, g, c) | at(q, g, c + 1) << 16));
        CHECK(ht[l * 4 + q] == (at(q, c, g) | at(q, c + 1, g) << 16));
      }
      CHECK(hm[l] == (at(2, c, g) | at(2, c + 1, g) << 16));
    }
  }
  return finish("mma");
}
