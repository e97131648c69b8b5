// wmma, with a layout of fragments of our own: element e of a matrix of so many, row after row, is
// held by lane e / per in slot e % per. Portable code uses fragments element by element alone.
#include "instructions/matrix.hpp"
#include "instructions/opcodes.hpp"

namespace ptxrun {
namespace {
// ---- loads and stores. op: matrix, x: column-major, y: store, b: stride (absent: packed)
enum Matrix : u8 { A, B, C };
void run_wmma_move(Warp& w, const Instr& in, u32 mask) {
  need_whole_warp(w, mask, in.y ? "wmma.store" : "wmma.load");
  const Operand* v = w.list(in.v0);
  const int rows = in.op == B ? in.k : in.m, columns = in.op == A ? in.k : in.n;
  const int bytes = type_size(in.t) ? type_size(in.t) : 4;
  const int in_register = in.t == F64 ? 1 : 4 / bytes;
  const int per_lane = rows * columns / 32;
  const u64 stride = in.b.present() ? w.get(in.b, 0) : in.x ? rows : columns;
  const u64 base = address_of(w, in, 0);
  const char* what = in.y ? "wmma store" : "wmma load";
  for (int t = 0; t < 32; t++)
    for (int slot = 0; slot < per_lane; slot++) {
      int e = t * per_lane + slot, row = e / columns, column = e % columns;
      u64 offset = (in.x ? (u64)column * stride + row : (u64)row * stride + column) * bytes;
      u8* memory = w.memory(in.space, base + offset, bytes, t, what, in.y ? WRITE : READ);
      const Operand& to = v[slot / in_register];
      u8* held = w.lanes<u8>(to) + t * to.bytes + slot % in_register * bytes;
      if (in.y)
        memcpy(memory, held, bytes);
      else
        memcpy(held, memory, bytes);
    }
  // Hardware holds some elements twice: the rest of the registers.
  const int used = (per_lane + in_register - 1) / in_register;
  if (!in.y)
    for (u32 j = used; j < in.nv; j++)
      memcpy(w.lanes<u32>(v[j]), w.lanes<u32>(v[j % used]), 32 * sizeof(u32));
}
template <bool store>
void decode_wmma_move(Decoder& d) {
  Instr& in = d.in;
  d.need(2);
  d.refuse_if(d.words.size() < 3 || d.type == TN || !d.shape() || !in.m || !in.n || !in.k);
  in.y = store;
  in.op = d.words[2] == "a" ? A : d.words[2] == "b" ? B : C;
  in.x = d.has("col");
  d.memory(d.operands[store ? 0 : 1]);
  d.list(d.operands[store ? 1 : 0], B32, in.v0, in.nv);
  if (d.operands.size() > 2) in.b = d.value(d.operands[2], B32);
  in.category = d.memory_category(store);
  d.run_together(run_wmma_move);
}

// ---- products
void read(Warp& w, const Operand* v, Type t, int count, double* elements) {
  const int per_lane = count / 32, in_register = t == F64 ? 1 : 4 / type_size(t);
  for (int lane = 0; lane < 32; lane++)
    for (int slot = 0; slot < per_lane; slot++) {
      const Operand& from = v[slot / in_register];
      double& e = elements[lane * per_lane + slot];
      if (t == F64) {
        e = w.lanes<double>(from)[lane];
        continue;
      }
      u32 value = w.lanes<u32>(from)[lane];
      e = t == F32 || t == S32
              ? sum_element(t, value)
              : matrix_element(t, value >> (slot % in_register * 8 * type_size(t)));
    }
}
void write(Warp& w, const Operand* v, Type t, int count, const double* elements) {
  const int per_lane = count / 32;
  for (int lane = 0; lane < 32; lane++)
    for (int slot = 0; slot < per_lane; slot++) {
      double e = elements[lane * per_lane + slot];
      if (t == F64)
        w.lanes<double>(v[slot])[lane] = e;
      else if (t == F16)
        ((u16*)(w.lanes<u32>(v[slot / 2]) + lane))[slot % 2] = to_half(e);
      else
        w.lanes<u32>(v[slot])[lane] = sum_result(t, e, false);
    }
}
void run_wmma(Warp& w, const Instr& in, u32 mask) {
  need_whole_warp(w, mask, "wmma");
  const int M = in.m, N = in.n, K = in.k;
  const Fragments v(w, in);
  static thread_local double a[32 * 32], b[32 * 32], c[32 * 32];
  read(w, v.a, in.t, M * K, a);
  read(w, v.b, in.t2, K * N, b);
  read(w, v.c, in.type_c, M * N, c);
  for (int i = 0; i < M; i++)
    for (int n = 0; n < N; n++) {
      double& result = c[i * N + n];
      double sum = in.t == F64 ? result : 0;
      for (int k = 0; k < K; k++)
        sum = in.t == F64 ? std::fma(a[i * K + k], b[k * N + n], sum)
                          : sum + a[i * K + k] * b[k * N + n];
      result = in.t == F64 ? sum : result + sum;
    }
  write(w, v.d, in.type_d, M * N, c);
}
void decode_wmma(Decoder& d) {
  Instr& in = d.in;
  d.refuse_if(!d.shape() || d.has("xor") || d.has("and"));
  if (d.types.size() == 2) {  // of D and C, where A and B are f16
    in.t = in.t2 = F16;
    in.type_d = d.types[0];
    in.type_c = d.types[1];
  } else {
    d.refuse_if(d.types.size() != 4);
    in.type_d = d.types[0];
    in.t = d.types[1];
    in.t2 = d.types[2];
    in.type_c = d.types[3];
  }
  take_fragments(d, B32);
  count_product(d);
  d.run_together(run_wmma);
}

const Opcodes opcodes{{"wmma.load", decode_wmma_move<false>, CL_LDG},
                      {"wmma.store", decode_wmma_move<true>, CL_STG},
                      {"wmma.mma", decode_wmma, CL_MMA}};
}  // namespace
}  // namespace ptxrun
