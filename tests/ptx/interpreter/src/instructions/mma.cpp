// mma.sync, with the layouts of fragments of the PTX ISA manual: lane 4g + q has rows g and g + 8
// of A, D and C and column g of B. A register of 32 bits holds neighbours in k, or in n.
#include "instructions/matrix.hpp"
#include "instructions/opcodes.hpp"

namespace ptxrun {
namespace {
struct Matrices {
  double a[16][32], b[32][8], c[16][8];
};
// Where register r of lane t begins in a fragment whose registers hold `width` neighbours.
struct Place {
  int row, column;
};
Place place_in_a(int m, int t, int r, int width) {
  int row_block = m == 16 ? r & 1 : 0, k_block = m == 16 ? r >> 1 : r;
  return {(t >> 2) + 8 * row_block, (k_block * 4 + (t & 3)) * width};
}
Place place_in_b(int t, int r, int width) { return {(r * 4 + (t & 3)) * width, t >> 2}; }
Place place_in_c(int t, int r) { return {(t >> 2) + 8 * (r >> 1), (t & 3) * 2 + (r & 1)}; }
Place place_in_half_c(int t, int r) { return {(t >> 2) + 8 * r, (t & 3) * 2}; }

// Calls f(lane, register) for all registers of a fragment.
template <class F>
void each_register(int count, F f) {
  for (int t = 0; t < 32; t++)
    for (int r = 0; r < count; r++) f(t, r);
}

void multiply_doubles(Warp& w, const Instr& in) {
  const Fragments v(w, in);
  Matrices x;
  each_register(in.na, [&](int t, int r) {
    Place at = place_in_a(in.m, t, r, 1);
    x.a[at.row][at.column] = w.lanes<double>(v.a[r])[t];
  });
  each_register(in.nb, [&](int t, int r) {
    Place at = place_in_b(t, r, 1);
    x.b[at.row][at.column] = w.lanes<double>(v.b[r])[t];
  });
  each_register(in.nv, [&](int t, int r) {
    Place at = place_in_c(t, r);
    x.c[at.row][at.column] = w.lanes<double>(v.c[r])[t];
  });
  for (int k = 0; k < in.k; k++)
    for (int i = 0; i < in.m; i++)
      for (int n = 0; n < 8; n++) x.c[i][n] = std::fma(x.a[i][k], x.b[k][n], x.c[i][n]);
  each_register(in.nv, [&](int t, int r) {
    Place at = place_in_c(t, r);
    w.lanes<double>(v.d[r])[t] = x.c[at.row][at.column];
  });
}

void multiply(Warp& w, const Instr& in) {
  const Fragments v(w, in);
  Matrices x;
  const int width = 4 / matrix_element_bytes(in.t), shift = 32 / width;
  each_register(in.na, [&](int t, int r) {
    Place at = place_in_a(in.m, t, r, width);
    u32 value = w.lanes<u32>(v.a[r])[t];
    for (int j = 0; j < width; j++)
      x.a[at.row][at.column + j] = matrix_element(in.t, value >> (shift * j));
  });
  each_register(in.nb, [&](int t, int r) {
    Place at = place_in_b(t, r, width);
    u32 value = w.lanes<u32>(v.b[r])[t];
    for (int j = 0; j < width; j++)
      x.b[at.row + j][at.column] = matrix_element(in.t2, value >> (shift * j));
  });
  const bool half_c = in.type_c == F16, half_d = in.type_d == F16;
  each_register(in.nc, [&](int t, int r) {
    Place at = half_c ? place_in_half_c(t, r) : place_in_c(t, r);
    double* c = &x.c[at.row][at.column];
    u32 value = w.lanes<u32>(v.c[r])[t];
    c[0] = half_c ? half_to_float((u16)value) : sum_element(in.type_c, value);
    if (half_c) c[1] = half_to_float((u16)(value >> 16));
  });
  for (int i = 0; i < in.m; i++) {
    double sums[8] = {};
    for (int k = 0; k < in.k; k++)
      for (int n = 0; n < 8; n++) sums[n] += x.a[i][k] * x.b[k][n];
    for (int n = 0; n < 8; n++) x.c[i][n] += sums[n];
  }
  each_register(in.nv, [&](int t, int r) {
    Place at = half_d ? place_in_half_c(t, r) : place_in_c(t, r);
    const double* c = &x.c[at.row][at.column];
    w.lanes<u32>(v.d[r])[t] =
        half_d ? to_half(c[0]) | (u32)to_half(c[1]) << 16 : sum_result(in.type_d, c[0], in.sat);
  });
}

// Fast form of m16n8k16 and m16n8k8 with 16-bit inputs and float sums. The result is that of the
// general form: a product of two 16-bit values is exact in double, so fused or not does not matter.
template <Type type>
void multiply_halves(Warp& w, const Instr& in) {
  const Fragments v(w, in);
  alignas(32) double A[16][16], B[16][8];
  auto low = [](u32 x) {
    return (double)(type == BF16 ? bits<float>((u64)(u32)(x << 16)) : half_to_float((u16)x));
  };
  auto high = [](u32 x) {
    return (double)(type == BF16 ? bits<float>((u64)(x & 0xffff0000u))
                                 : half_to_float((u16)(x >> 16)));
  };
  for (int r = 0; r < in.na; r++) {
    const u32* x = w.lanes<u32>(v.a[r]);
    for (int t = 0; t < 32; t++) {
      Place at = place_in_a(16, t, r, 2);
      A[at.row][at.column] = low(x[t]);
      A[at.row][at.column + 1] = high(x[t]);
    }
  }
  for (int r = 0; r < in.nb; r++) {
    const u32* x = w.lanes<u32>(v.b[r]);
    for (int t = 0; t < 32; t++) {
      Place at = place_in_b(t, r, 2);
      B[at.row][at.column] = low(x[t]);
      B[at.row + 1][at.column] = high(x[t]);
    }
  }
  const float* c[4];
  float* d[4];
  for (int r = 0; r < 4; r++) c[r] = w.lanes<float>(v.c[r]), d[r] = w.lanes<float>(v.d[r]);
  float out[4][32];
  const int K = in.k;
  for (int i = 0; i < 16; i++) {
    __m256d left = _mm256_setzero_pd(), right = left;
    for (int k = 0; k < K; k++) {
      __m256d a = _mm256_broadcast_sd(&A[i][k]);
      left = _mm256_fmadd_pd(a, _mm256_load_pd(&B[k][0]), left);
      right = _mm256_fmadd_pd(a, _mm256_load_pd(&B[k][4]), right);
    }
    alignas(32) double sums[8];
    _mm256_store_pd(sums, left);
    _mm256_store_pd(sums + 4, right);
    int r = 2 * (i >> 3), t = 4 * (i & 7);
    for (int n = 0; n < 8; n++)
      out[r + (n & 1)][t + n / 2] = (float)((double)c[r + (n & 1)][t + n / 2] + sums[n]);
  }
  for (int r = 0; r < 4; r++) memcpy(d[r], out[r], sizeof out[r]);
}

template <void (*multiply_fragments)(Warp&, const Instr&)>
void run_mma(Warp& w, const Instr& in, u32 mask) {
  need_whole_warp(w, mask, "mma.sync");
  multiply_fragments(w, in);
}
bool is_factor(Type t) {
  return t == F16 || t == BF16 || t == TF32 || t == S8 || t == U8 || t == F64 || is_fp8(t);
}
void decode_mma(Decoder& d) {
  Instr& in = d.in;
  for (auto& word : d.words)
    d.refuse_if(starts_with(word, "sp") || starts_with(word, "kind::") || word == "block_scale" ||
                word == "xor" || word == "and");
  d.refuse_if(!d.shape() || d.types.size() != 4 || !d.has("row") || !d.has("col"));
  in.type_d = d.types[0];
  in.t = d.types[1];
  in.t2 = d.types[2];
  in.type_c = d.types[3];
  d.refuse_if(in.n != 8 || (in.m != 8 && in.m != 16) || !is_factor(in.t) || !is_factor(in.t2));
  d.refuse_if(in.k != 4 && in.k != 8 && in.k != 16 && in.k != 32);
  d.refuse_if(in.m == 8 && in.k == 4 && in.t == F16);
  take_fragments(d, in.t == F64 ? F64 : B32);
  count_product(d);
  bool floats = in.type_d == F32 && in.type_c == F32;
  bool fast = in.m == 16 && in.t == in.t2 && floats && (in.k == 16 || in.k == 8);
  d.run_together(fast && in.t == BF16  ? run_mma<multiply_halves<BF16>>
                 : fast && in.t == F16 ? run_mma<multiply_halves<F16>>
                 : in.t == F64         ? run_mma<multiply_doubles>
                                       : run_mma<multiply>);
}

const Opcodes opcodes{{"mma", decode_mma, CL_MMA}};
}  // namespace
}  // namespace ptxrun
