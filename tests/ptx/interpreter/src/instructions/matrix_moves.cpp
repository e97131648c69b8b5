// Moves of matrices of 8 x 8 16-bit elements between rows in shared memory and registers, and
// their transposition in registers.
#include "instructions/opcodes.hpp"
#include "machine/counts.hpp"
#include "machine/machine.hpp"
#include "text/decoder.hpp"

namespace ptxrun {
namespace {
// Lane t has elements 2t and 2t + 1 of a matrix, row after row; of its transpose with x.
struct Element {
  int row, column;
};
Element element_of(int lane, int half, bool transposed) {
  int outer = lane / 4, inner = lane % 4 * 2 + half;
  return transposed ? Element{inner, outer} : Element{outer, inner};
}

// Host addresses of the rows, 8 of each of the nv matrices: lane i has that of row i.
void find_rows(Warp& w, const Instr& in, const char* what, Access access, u8* rows[32]) {
  const int n = 8 * in.nv;
  u64 addresses[32];
  for (int i = 0; i < n; i++) addresses[i] = address_of(w, in, i);
  if (w.counts) count_shared(w.counts[in.id], addresses, n == 32 ? ~0u : (1u << n) - 1, 16);
  for (int i = 0; i < n; i++) rows[i] = w.memory(in.space, addresses[i], 16, i, what, access);
}
// Calls f(register, its low element in memory, its high one) for all lanes and matrices.
template <class F>
void each_pair(Warp& w, const Instr& in, u8* const rows[32], F f) {
  const Operand* v = w.list(in.v0);
  const bool transposed = in.x;
  for (u32 q = 0; q < in.nv; q++) {
    u32* values = w.lanes<u32>(v[q]);
    for (int t = 0; t < 32; t++) {
      Element low = element_of(t, 0, transposed), high = element_of(t, 1, transposed);
      f(values[t], rows[q * 8 + low.row] + 2 * low.column,
        rows[q * 8 + high.row] + 2 * high.column);
    }
  }
}

void run_ldmatrix(Warp& w, const Instr& in, u32 mask) {
  need_whole_warp(w, mask, "ldmatrix");
  u8* rows[32];
  find_rows(w, in, "ldmatrix read", READ, rows);
  each_pair(w, in, rows, [](u32& value, const u8* low, const u8* high) {
    u16 elements[2];
    memcpy(&elements[0], low, 2);
    memcpy(&elements[1], high, 2);
    value = elements[0] | (u32)elements[1] << 16;
  });
}
void run_stmatrix(Warp& w, const Instr& in, u32 mask) {
  need_whole_warp(w, mask, "stmatrix");
  u8* rows[32];
  find_rows(w, in, "stmatrix write", WRITE, rows);
  each_pair(w, in, rows, [](u32 value, u8* low, u8* high) {
    u16 elements[2] = {(u16)value, (u16)(value >> 16)};
    memcpy(low, &elements[0], 2);
    memcpy(high, &elements[1], 2);
  });
}
void take_matrices(Decoder& d, const string& values, const string& address, Handler run) {
  d.refuse_if(!d.has("m8n8") || d.type != B16);
  d.in.x = d.has("trans");
  d.memory(address);
  d.list(values, B32, d.in.v0, d.in.nv);
  d.run_together(run);
}
void decode_ldmatrix(Decoder& d) {
  d.need(2);
  take_matrices(d, d.operands[0], d.operands[1], run_ldmatrix);
}
void decode_stmatrix(Decoder& d) {
  d.need(2);
  take_matrices(d, d.operands[1], d.operands[0], run_stmatrix);
}

void run_movmatrix(Warp& w, const Instr& in, u32 mask) {
  need_whole_warp(w, mask, "movmatrix");
  u16 matrix[8][8];
  const u32* a = w.lanes<u32>(in.a);
  u32* d = w.lanes<u32>(in.d);
  for (int t = 0; t < 32; t++)
    for (int half = 0; half < 2; half++) {
      Element e = element_of(t, half, false);
      matrix[e.row][e.column] = (u16)(a[t] >> (16 * half));
    }
  for (int t = 0; t < 32; t++) {
    Element low = element_of(t, 0, true), high = element_of(t, 1, true);
    d[t] = matrix[low.row][low.column] | (u32)matrix[high.row][high.column] << 16;
  }
}
void decode_movmatrix(Decoder& d) {
  d.refuse_if(!d.has("m8n8") || !d.has("trans") || d.type != B16);
  d.take({B32, B32});
  d.run_together(run_movmatrix);
}

const Opcodes opcodes{{"ldmatrix", decode_ldmatrix, CL_LDMATRIX},
                      {"stmatrix", decode_stmatrix, CL_LDMATRIX},
                      {"movmatrix", decode_movmatrix, CL_WARP}};
}  // namespace
}  // namespace ptxrun
