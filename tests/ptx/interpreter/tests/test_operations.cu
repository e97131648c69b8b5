// Some 91 operations on 20000 random inputs each: device code against host code (conversions with
// all roundings, 64-bit division, directed rounding, bit fields, carry chains).
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <cuda_runtime.h>
#define NV 64
struct In {
  uint32_t a, b, c;
  float f, g, h;
  double d, e;
  uint64_t l, m;
};
__host__ __device__ uint32_t hb(__half x) {
  uint16_t r;
  memcpy(&r, &x, 2);
  return r;
}
__host__ __device__ uint32_t bb(__nv_bfloat16 x) {
  uint16_t r;
  memcpy(&r, &x, 2);
  return r;
}
__host__ __device__ uint32_t fb(float x) {
  uint32_t r;
  memcpy(&r, &x, 4);
  return r;
}
__host__ __device__ uint64_t db(double x) {
  uint64_t r;
  memcpy(&r, &x, 8);
  return r;
}
// part 1: same code, host (NVIDIA's own host fallbacks / C++ semantics) and device
__host__ __device__ void common(const In& i, uint64_t* o) {
  int k = 0;
  int32_t sa = i.a, sb = i.b;
  int64_t sl = i.l, sm = i.m;
  o[k++] = hb(__float2half_rn(i.f));
  o[k++] = hb(__float2half_rz(i.f));
  o[k++] = hb(__float2half_rd(i.f));
  o[k++] = hb(__float2half_ru(i.f));
  o[k++] = bb(__float2bfloat16_rn(i.f));
  o[k++] = bb(__float2bfloat16_rz(i.f));
  o[k++] = bb(__float2bfloat16_rd(i.f));
  o[k++] = bb(__float2bfloat16_ru(i.f));
  o[k++] = hb(__double2half(i.d));
  o[k++] = bb(__double2bfloat16(i.d));
  __half x = __float2half_rn(i.f), y = __float2half_rn(i.g), z = __float2half_rn(i.h);
  __nv_bfloat16 p = __float2bfloat16_rn(i.f), q = __float2bfloat16_rn(i.g);
  o[k++] = hb(__hadd(x, y));
  o[k++] = hb(__hmul(x, y));
  o[k++] = hb(__hsub(x, y));
  o[k++] = hb(__hdiv(x, y));
  o[k++] = fb(__half2float(x));
  o[k++] = bb(__hadd(p, q));
  o[k++] = bb(__hmul(p, q));
  o[k++] = fb(__bfloat162float(p));
  o[k++] = __nv_cvt_float_to_fp8(i.f, __NV_SATFINITE, __NV_E4M3);
  o[k++] = __nv_cvt_float_to_fp8(i.f, __NV_SATFINITE, __NV_E5M2);
  o[k++] = (int64_t)(sa >> (i.c & 31));
  o[k++] = i.a >> (i.c & 31);
  o[k++] = sb ? sa / sb : 0;
  o[k++] = i.b ? i.a % i.b : 0;
  o[k++] = sm ? sl / sm : 0;
  o[k++] = i.m ? i.l % i.m : 0;
  o[k++] = (uint64_t)((unsigned __int128)i.l * i.m >> 64);
  o[k++] = (uint64_t)((__int128)sl * sm >> 64);
  o[k++] = (int64_t)(int16_t)i.a * (int16_t)i.b;
  o[k++] = (uint8_t)i.a + (int8_t)i.b;
  o[k++] = i.l << (i.c & 63);
  o[k++] = (uint64_t)(sl >> (i.c & 63));
  o[k++] = fb((float)sl);
  o[k++] = fb((float)i.l);
  o[k++] = db((double)i.l);
  o[k++] = fb((float)i.a);
  o[k++] = fb((float)sa);
  o[k++] = fb((float)i.d);
  o[k++] = fb(i.f + i.g);
  o[k++] = fb(i.f / i.g);
  o[k++] = fb(sqrtf(fabsf(i.f)));
  o[k++] = fb(fmaf(i.f, i.g, i.h));
  o[k++] = db(fma(i.d, i.e, 1.5));
  o[k++] = db(i.d / i.e);
  o[k++] = db(sqrt(fabs(i.d)));
  o[k++] = fb(fminf(i.f, i.g));
  o[k++] = fb(fmaxf(i.f, i.h));
  o[k++] = fb(copysignf(i.f, i.g));
  o[k++] = fb(rintf(i.f));
  o[k++] = fb(floorf(i.f));
  o[k++] = fb(truncf(i.f));
  o[k++] = db(ceil(i.d));
  while (k < NV) o[k++] = 0;
}
// part 2: device intrinsics against references written out here
#ifdef __CUDA_ARCH__
#define DV(dev, host) dev
#else
#define DV(dev, host) host
#endif
static int md[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
template <class F>
auto rr(int r, F f) {
  fesetround(md[r]);
  auto v = f();
  fesetround(FE_TONEAREST);
  return v;
}
static uint32_t perm(uint32_t a, uint32_t b, uint32_t s) {
  uint64_t v = (uint64_t)b << 32 | a;
  uint32_t o = 0;
  for (int k = 0; k < 4; k++) o |= (uint32_t)((v >> (8 * ((s >> (4 * k)) & 7))) & 255) << (8 * k);
  return o;
}
static uint32_t rev(uint32_t a) {
  uint32_t o = 0;
  for (int k = 0; k < 32; k++) o |= ((a >> k) & 1) << (31 - k);
  return o;
}
template <class T>
static T clampcvt(double y, double lo, double hi) {
  if (y != y) return 0;
  if (y < lo) y = lo;
  if (y > hi) y = hi;
  return (T)y;
}
__host__ __device__ void intr(const In& i, uint64_t* o) {
  int k = 0;
  volatile float vf = i.f, vg = i.g, vh = i.h;
  volatile double vd = i.d, ve = i.e;
  uint32_t r;
  o[k++] = DV(__byte_perm(i.a, i.b, i.c & 0x7777), perm(i.a, i.b, i.c));
  o[k++] = DV(__brev(i.a), rev(i.a));
  o[k++] = DV(__clz(i.a), (i.a ? __builtin_clz(i.a) : 32));
  o[k++] = DV(__ffs(i.a), __builtin_ffs(i.a));
  o[k++] = DV(__popc(i.a), __builtin_popcount(i.a));
  o[k++] = DV(__clzll(i.l), (i.l ? __builtin_clzll(i.l) : 64));
  o[k++] = DV(__popcll(i.l), __builtin_popcountll(i.l));
  o[k++] = DV(__funnelshift_l(i.a, i.b, i.c),
              (uint32_t)(((uint64_t)i.b << 32 | i.a) << (i.c & 31) >> 32));
  o[k++] =
      DV(__funnelshift_r(i.a, i.b, i.c), (uint32_t)(((uint64_t)i.b << 32 | i.a) >> (i.c & 31)));
  o[k++] = DV(__umulhi(i.a, i.b), (uint32_t)((uint64_t)i.a * i.b >> 32));
  o[k++] =
      DV((uint32_t)__mulhi((int)i.a, (int)i.b), (uint32_t)((int64_t)(int)i.a * (int)i.b >> 32));
  o[k++] = DV(__umul24(i.a, i.b), (uint32_t)((uint64_t)(i.a & 0xffffff) * (i.b & 0xffffff)));
  o[k++] = DV(__usad(i.a, i.b, i.c), (i.a > i.b ? i.a - i.b : i.b - i.a) + i.c);
  {
    int s = i.c;
    for (int j = 0; j < 4; j++) s += (int8_t)(i.a >> 8 * j) * (int8_t)(i.b >> 8 * j);
    o[k++] = DV((uint32_t)__dp4a((int)i.a, (int)i.b, (int)i.c), (uint32_t)s);
  }
#ifdef __CUDA_ARCH__
  asm("lop3.b32 %0,%1,%2,%3,0xCA;" : "=r"(r) : "r"(i.a), "r"(i.b), "r"(i.c));
  o[k++] = r;
  asm("bfe.u32 %0,%1,%2,%3;" : "=r"(r) : "r"(i.a), "r"(i.b & 31), "r"(i.c & 15));
  o[k++] = r;
  asm("bfi.b32 %0,%1,%2,%3,%4;" : "=r"(r) : "r"(i.a), "r"(i.b), "r"(i.c & 31), "r"(7));
  o[k++] = r;
  uint32_t lo, hi;
  asm("add.cc.u32 %0,%2,%3; addc.u32 %1,%4,%5;"
      : "=r"(lo), "=r"(hi)
      : "r"(i.a), "r"(i.b), "r"(i.c), "r"((uint32_t)i.l));
  o[k++] = (uint64_t)hi << 32 | lo;
  uint16_t one;
  asm("set.lt.f16.f32 %0,%1,%2;" : "=h"(one) : "f"(i.f), "f"(i.g));
  o[k++] = one;
  asm("{.reg .pred c, p, q; setp.ne.u32 c, %3, 0; setp.lt.xor.f16x2 p|q, %1, %2, c;"
      " selp.u32 %0, 1, 0, p; @q add.u32 %0, %0, 2;}"
      : "=r"(r)
      : "r"(i.a & 0x3fff3fff), "r"(i.b & 0x3fff3fff), "r"(i.c & 1));
  o[k++] = r;
#else
  o[k++] = (i.a & i.b) | (~i.a & i.c);
  {
    uint32_t p = i.b & 31, l = i.c & 15;
    o[k++] = l ? (uint32_t)(((uint64_t)i.a >> p) & ((1u << l) - 1)) : 0;
  }
  {
    uint64_t mk = (127ull << (i.c & 31)) & 0xffffffff;
    o[k++] = (i.b & ~mk) | ((((uint64_t)i.a) << (i.c & 31)) & mk);
  }
  o[k++] = (((uint64_t)i.c << 32) | i.a) + (((uint64_t)(uint32_t)i.l << 32) | i.b);
  o[k++] = i.f < i.g ? 0x3c00 : 0;
  // Halves that are neither negative nor NaN compare as their bits do.
  bool low = (i.a & 0x3fff) < (i.b & 0x3fff), high = (i.a >> 16 & 0x3fff) < (i.b >> 16 & 0x3fff);
  o[k++] = (low != (i.c & 1)) + 2 * (high != (i.c & 1));
  (void)r;
#endif
  o[k++] = DV(fb(__fadd_rz(i.f, i.g)), fb(rr(1, [&] {
                volatile float q = vf + vg;
                return (float)q;
              })));
  o[k++] = DV(fb(__fmul_rd(i.f, i.g)), fb(rr(2, [&] {
                volatile float q = vf * vg;
                return (float)q;
              })));
  o[k++] = DV(fb(__fmaf_ru(i.f, i.g, i.h)), fb(rr(3, [&] {
                volatile float q = fmaf(vf, vg, vh);
                return (float)q;
              })));
  o[k++] = DV(db(__dadd_rz(i.d, i.e)), db(rr(1, [&] {
                volatile double q = vd + ve;
                return (double)q;
              })));
  o[k++] = DV(fb(__fdiv_ru(i.f, i.g)), fb(rr(3, [&] {
                volatile float q = vf / vg;
                return (float)q;
              })));
  o[k++] = DV(fb(__double2float_rz(i.d)), fb(rr(1, [&] {
                volatile float q = (float)vd;
                return (float)q;
              })));
  o[k++] = DV(fb(__int2float_ru((int)i.a)), fb(rr(3, [&] {
                volatile int q = i.a;
                volatile float w = (float)q;
                return (float)w;
              })));
  o[k++] = DV(fb(__ull2float_rd(i.l)), fb(rr(2, [&] {
                volatile uint64_t q = i.l;
                volatile float w = (float)q;
                return (float)w;
              })));
  o[k++] = DV((uint32_t)__float2int_rn(i.f),
              (uint32_t)clampcvt<int32_t>(rint(i.f), -2147483648.0, 2147483647.0));
  o[k++] = DV((uint32_t)__float2int_rd(i.f),
              (uint32_t)clampcvt<int32_t>(floor(i.f), -2147483648.0, 2147483647.0));
  o[k++] = DV(__float2uint_rz(i.f), clampcvt<uint32_t>(trunc(i.f), 0, 4294967295.0));
  o[k++] = DV((uint64_t)__double2int_ru(i.d),
              (uint64_t)clampcvt<int32_t>(ceil(i.d), -2147483648.0, 2147483647.0));
  o[k++] = DV(fb(__saturatef(i.f)), fb(i.f != i.f ? 0.f : i.f < 0 ? 0.f : i.f > 1 ? 1.f : i.f));
  while (k < NV) o[k++] = 0;
}
__global__ void run(const In* in, uint64_t* o, uint64_t* p, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) {
    common(in[i], o + (size_t)i * NV);
    intr(in[i], p + (size_t)i * NV);
  }
}
int main() {
  int n = 20000;
  std::vector<In> in(n);
  std::mt19937_64 r(1);
  auto fl = [&]() -> float {
    switch (r() % 6) {
      case 0: {
        uint32_t u = r();
        float f;
        memcpy(&f, &u, 4);
        return std::isfinite(f) ? f : 1.f;
      }
      case 1:
        return (float)(int)(r() % 2001 - 1000) * .25f;
      case 2:
        return ldexpf((float)(int32_t)r() / 2147483648.f, (int)(r() % 40) - 30);
      case 3:
        return (float)(int32_t)r();
      default:
        return (float)(int32_t)r() / 2147483648.f * 70000.f;
    }
  };
  for (auto& x : in) {
    x.a = r();
    x.b = r() >> (r() % 32);
    x.c = r();
    x.f = fl();
    x.g = fl();
    x.h = fl();
    x.d = fl() * 1.000000123;
    x.e = (double)(int64_t)r() / 1e17;
    x.l = r();
    x.m = r() >> (r() % 64);
    if (r() % 4 == 0) {
      x.a &= 0xff;
      x.c &= 31;
    }
  }
  In* di;
  uint64_t *a, *b;
  cudaMalloc(&di, n * sizeof(In));
  cudaMalloc(&a, n * NV * 8);
  cudaMalloc(&b, n * NV * 8);
  cudaMemcpy(di, in.data(), n * sizeof(In), cudaMemcpyHostToDevice);
  run<<<(n + 127) / 128, 128>>>(di, a, b, n);
  if (cudaDeviceSynchronize()) {
    puts("launch failed");
    return 1;
  }
  std::vector<uint64_t> h((size_t)n * NV), g((size_t)n * NV);
  uint64_t ref[NV];
  auto isn = [](uint64_t v, int w) {
    return w == 16   ? ((v & 0x7fff) > 0x7c00 || (v & 0x7fff) > 0x7f80)
           : w == 32 ? ((v & 0x7fffffff) > 0x7f800000)
                     : ((v & ~(1ull << 63)) > 0x7ff0000000000000ull);
  };
  cudaMemcpy(h.data(), a, n * NV * 8, cudaMemcpyDeviceToHost);
  cudaMemcpy(g.data(), b, n * NV * 8, cudaMemcpyDeviceToHost);
  int failures = 0;
  for (int part = 0; part < 2; part++) {
    std::vector<int> bad(NV);
    std::vector<std::string> ex(NV);
    for (int i = 0; i < n; i++) {
      part ? intr(in[i], ref) : common(in[i], ref);
      uint64_t* d = &(part ? g : h)[(size_t)i * NV];
      for (int k = 0; k < NV; k++)
        if (d[k] != ref[k]) {
          bool nn = (isn(d[k], 16) && isn(ref[k], 16) && d[k] < 65536) ||
                    (d[k] > 65535 && d[k] <= 0xffffffffull && isn(d[k], 32) && isn(ref[k], 32)) ||
                    (isn(d[k], 64) && isn(ref[k], 64));
          if (nn) continue;
          if (!bad[k]++) {
            char t[256];
            snprintf(t, 256,
                     "dev %llx ref %llx  a %x b %x c %x f %.9g g %.9g h %.9g d %.17g l %llx m %llx",
                     (unsigned long long)d[k], (unsigned long long)ref[k], in[i].a, in[i].b,
                     in[i].c, in[i].f, in[i].g, in[i].h, in[i].d, (unsigned long long)in[i].l,
                     (unsigned long long)in[i].m);
            ex[k] = t;
          }
        }
    }
    int tb = 0;
    for (int k = 0; k < NV; k++)
      if (bad[k]) {
        tb++;
        printf("part %d item %d: %d of %d differ; %s\n", part + 1, k, bad[k], n, ex[k].c_str());
      }
    printf("part %d: %d items differ\n", part + 1, tb);
    failures += tb;
  }
  return failures ? 1 : 0;
}
