// Matrix products of a warpgroup with operands in shared memory. Each warp of the group computes
// its 16 of the 64 rows when it issues the instruction; fence, commit and wait do nothing, so a
// missing wgmma.wait_group is not found.
#include "instructions/elementwise.hpp"
#include "instructions/matrix.hpp"
#include "instructions/opcodes.hpp"
#include "program/tensor_map.hpp"

namespace ptxrun {
namespace {
// A matrix in shared memory, as its descriptor says: start address, leading and stride byte
// offsets, swizzle span. A unit is 16 bytes.
struct Described {
  u64 start, leading, stride;
  u32 span;  // 0: no swizzle
  bool mn_major;
  u32 element_bytes;

  Described(Warp& w, u64 descriptor, bool mn_major, Type t)
      : start((descriptor & 0x3fff) << 4),
        leading((descriptor >> 16 & 0x3fff) << 4),
        stride((descriptor >> 32 & 0x3fff) << 4),
        mn_major(mn_major),
        element_bytes(matrix_element_bytes(t)) {
    if (descriptor >> 49 & 7)
      fail("wgmma descriptor with a base offset is not supported in %s", w.where(0).c_str());
    static const u32 spans[] = {0, 128, 64, 32};
    span = spans[descriptor >> 62];
  }

  // Byte address of element (mn, k).
  u64 at(u32 mn, u32 k) const {
    u64 a = start;
    if (mn_major) {
      u32 wide = (span ? span : 16) / element_bytes;  // elements that lie side by side
      u64 across = mn / wide, down = k / 8;
      a += (mn % wide) * element_bytes + (k % 8) * (span ? span : 16);
      a += span ? across * leading + down * stride : across * stride + down * leading;
    } else {
      u32 byte = k * element_bytes;
      a += (u64)(mn / 8) * stride + (mn % 8) * (span ? span : 16);
      a += span ? byte : (u64)(byte / 16) * leading + byte % 16;
    }
    return swizzled(a, span);
  }
  double load(Warp& w, Type t, u32 mn, u32 k) const {
    u64 a = at(mn, k);
    auto& shared = w.block->shared;
    if (a + element_bytes > shared.size())
      fail("wgmma descriptor reaches shared offset 0x%llx beyond the block's %zu bytes in %s",
           (unsigned long long)a, shared.size(), w.where(0).c_str());
    u32 v = 0;
    memcpy(&v, shared.data() + a, element_bytes);
    return matrix_element(t, v);
  }
};

enum Flags : u8 { NEGATE_A = 1, NEGATE_B = 2, A_MN_MAJOR = 4, B_MN_MAJOR = 8 };
// The 16 rows of A that lie in registers, laid out as for mma.sync.
void read_registers(Warp& w, const Instr& in, const Operand* v, double a[16][32]) {
  const int bytes = matrix_element_bytes(in.t), width = 4 / bytes;
  for (int r = 0; r < in.na; r++)
    for (int lane = 0; lane < 32; lane++)
      for (int j = 0; j < width; j++)
        a[lane / 4 + 8 * (r & 1)][((r >> 1) * 4 + lane % 4) * width + j] =
            matrix_element(in.t, w.lanes<u32>(v[r])[lane] >> (8 * bytes * j));
}
// op: flags. List: nv registers of D, na of A (none: A has the descriptor a). b: descriptor of B.
// p: whether D is added to.
void run_wgmma(Warp& w, const Instr& in, u32 mask) {
  need_whole_warp(w, mask, "wgmma");
  if (w.block->warps.size() % 4) fail("wgmma needs whole warpgroups in %s", w.where(0).c_str());
  const u32 N = in.n, K = in.k, row0 = 16 * (w.index % 4);
  const Operand *vd = w.list(in.v0), *va = vd + in.nv;
  static thread_local double A[16][32], B[32][256];
  if (in.na) {
    read_registers(w, in, va, A);
  } else {
    Described a(w, w.get(in.a, 0), in.op & A_MN_MAJOR, in.t);
    for (u32 i = 0; i < 16; i++)
      for (u32 k = 0; k < K; k++) A[i][k] = a.load(w, in.t, row0 + i, k);
  }
  Described b(w, w.get(in.b, 0), in.op & B_MN_MAJOR, in.t2);
  for (u32 n = 0; n < N; n++)
    for (u32 k = 0; k < K; k++) B[k][n] = b.load(w, in.t2, n, k);
  const double sign = ((in.op & NEGATE_A) != 0) != ((in.op & NEGATE_B) != 0) ? -1 : 1;
  const bool add = w.get(in.p, 0);
  for (u32 i = 0; i < 16; i++) {
    double sums[256] = {};
    for (u32 k = 0; k < K; k++) {
      double a = A[i][k];
      for (u32 n = 0; n < N; n++) sums[n] += a * B[k][n];
    }
    for (u32 n = 0; n < N; n++) {
      u32 r = n / 8 * 4 + (i / 8) * 2 + (n & 1), lane = i % 8 * 4 + n % 8 / 2;
      u32& d = w.lanes<u32>(vd[r])[lane];
      double old = add ? sum_element(in.type_d, d) : 0;
      d = sum_result(in.type_d, old + sign * sums[n], in.sat);
    }
  }
}

// The depth of a product of these types; 0: there is none.
int depth(Type a, Type b) {
  if (a == TF32 && b == TF32) return 8;
  if ((a == BF16 || a == F16) && a == b) return 16;
  if ((a == S8 || a == U8) && (b == S8 || b == U8)) return 32;
  return is_fp8(a) && is_fp8(b) ? 32 : 0;
}
void decode_wgmma(Decoder& d) {
  Instr& in = d.in;
  d.need(4);
  d.refuse_if(d.has("sp") || d.types.size() != 3 || !d.shape());
  in.type_d = d.types[0];
  in.t = d.types[1];
  in.t2 = d.types[2];
  const bool whole = in.t == S8 || in.t == U8, halves = in.t == BF16 || in.t == F16;
  d.refuse_if(in.m != 64 || in.n < 8 || in.n > 256 || in.n % 8 || !depth(in.t, in.t2) ||
              in.k != depth(in.t, in.t2) || in.type_d != (whole ? S32 : F32));
  d.list(d.operands[0], B32, in.v0, in.nv);
  d.refuse_if(in.nv != in.n / 2u);
  const bool registers = starts_with(d.operands[1], "{");
  if (registers) {
    u32 first, na;
    d.list(d.operands[1], B32, first, na);
    d.refuse_if(na != 4);
    in.na = (u8)na;
  } else {
    in.a = d.value(d.operands[1], B64);
  }
  in.b = d.value(d.operands[2], B64);
  in.p = d.value(d.operands[3], PRED);
  auto flag = [&](size_t i, u64 when, u8 bit) {
    if (d.operands.size() > i && d.symbols.expression(d.operands[i]) == when) in.op |= bit;
  };
  if (!whole) {
    flag(4, ~0ull, NEGATE_A);
    flag(5, ~0ull, NEGATE_B);
  }
  if (halves && registers) flag(6, 1, B_MN_MAJOR);
  if (halves && !registers) {
    flag(6, 1, A_MN_MAJOR);
    flag(7, 1, B_MN_MAJOR);
  }
  count_product(d, 4);
  d.run_together(run_wgmma);
}

const Opcodes opcodes{{"wgmma.mma_async", decode_wgmma, CL_MMA},
                      {"wgmma.fence", decode_nothing, CL_OTHER},
                      {"wgmma.commit_group", decode_nothing, CL_OTHER},
                      {"wgmma.wait_group", decode_nothing, CL_OTHER}};
}  // namespace
}  // namespace ptxrun
