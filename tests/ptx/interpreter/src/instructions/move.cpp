// Moves between registers, addresses of variables, and conversions of addresses.
#include "instructions/elementwise.hpp"
#include "instructions/opcodes.hpp"
#include "program/special_registers.hpp"

namespace ptxrun {
namespace {
// ---- registers
void run_mov_any(Warp& w, const Instr& in, u32 mask) {
  FOR_LANES(mask, w.set(in.d, i, w.get(in.a, i)));
}
void run_mov_predicate(Warp& w, const Instr& in, u32 mask) { w.set_mask(in.d, mask, w.mask(in.a)); }
void run_clock(Warp& w, const Instr& in, u32 mask) { FOR_LANES(mask, w.set(in.d, i, w.instrs)); }
Handler move_of(int bytes) {
  Handler loop = by_size(bytes, [](auto t) -> Handler { return map1<Same, decltype(t)>; });
  return loop ? loop : run_mov_any;
}

// v0: nv registers that one of more bits is made of, the lowest bits first.
void run_pack(Warp& w, const Instr& in, u32 mask) {
  const Operand* parts = w.list(in.v0);
  const int width = 8 * in.d.bytes / in.nv;
  FOR_LANES(mask, {
    u64 whole = 0;
    for (u32 j = 0; j < in.nv; j++)
      whole |= (w.get(parts[j], i) & ~0ull >> (64 - width)) << (width * j);
    w.set(in.d, i, whole);
  });
}
void run_unpack(Warp& w, const Instr& in, u32 mask) {
  const Operand* parts = w.list(in.v0);
  const int width = 8 * in.a.bytes / in.nv;
  FOR_LANES(mask, {
    u64 whole = w.get(in.a, i);
    for (u32 j = 0; j < in.nv; j++)
      w.set(parts[j], i, whole >> (width * j) & ~0ull >> (64 - width));
  });
}
void decode_pack(Decoder& d) {
  d.in.d = d.value(d.operands[0], d.type);
  size_t parts = split(inside(d.operands[1])).size();
  int bytes = type_size(d.type) / (int)parts;
  d.list(d.operands[1], bytes <= 2 ? B16 : bytes == 4 ? B32 : B64, d.in.v0, d.in.nv);
  d.in.run = run_pack;
}
void decode_unpack(Decoder& d) {
  d.in.a = d.value(d.operands[1], d.type);
  d.list(d.operands[0], TN, d.in.v0, d.in.nv);
  d.in.run = run_unpack;
}

// ---- addresses of variables. imm: the offset
void run_local_address(Warp& w, const Instr& in, u32 mask) {
  FOR_LANES(mask, w.set(in.d, i, (u64)in.imm + w.current.local_offset));
}
void run_param_address(Warp& w, const Instr& in, u32 mask) {
  FOR_LANES(mask, w.set(in.d, i, (u64)w.launch->params.data() + in.imm));
}
// The symbol of "name" or "name+offset"; null where that is a number or a register.
Symbol* variable(Decoder& d, const string& text, s64& offset) {
  u64 number;
  SpecialRegister special;
  if (parse_number(text, d.type, number) || find_special(text, special)) return nullptr;
  size_t plus = text.find('+');
  string name = trim(text.substr(0, plus));
  Symbol* symbol = d.symbols.find(name);
  if (!symbol) d.symbols.error("unknown symbol '" + name + "'");
  offset = plus == string::npos ? 0 : (s64)d.symbols.expression(text.substr(plus + 1));
  return symbol->kind == Symbol::REGISTER ? nullptr : symbol;
}
// a: the constant address, once it is known.
void take_address(Decoder& d, const Symbol& symbol, s64 offset) {
  d.in.imm = (s64)symbol.value + offset;
  d.in.a = d.symbols.constant(d.in.imm, d.type);
  if (symbol.kind == Symbol::DYNAMIC_SHARED) d.in.dynamic_shared = DYNAMIC_CONSTANT;
}

void decode_mov(Decoder& d) {
  d.need(2);
  d.refuse_if(d.type == B128 || d.type == TN);
  if (starts_with(d.operands[0], "{")) return decode_unpack(d);
  if (starts_with(d.operands[1], "{")) return decode_pack(d);
  const string& source = d.operands[1];
  s64 offset = 0;
  Symbol* symbol = d.type == PRED ? nullptr : variable(d, source, offset);
  if (!symbol) {
    take_unary(d);
    bool clock = d.in.a.area == Operand::SPECIAL && d.in.a.offset >= SR_STORED * special_bytes;
    d.in.run = d.type == PRED                 ? run_mov_predicate
               : clock                        ? run_clock
               : d.in.a.bytes == d.in.d.bytes ? move_of(d.in.d.bytes)
                                              : run_mov_any;
    return;
  }
  d.in.d = d.value(d.operands[0], d.type);
  take_address(d, *symbol, offset);
  d.in.run = symbol->kind == Symbol::LOCAL || symbol->kind == Symbol::PARAM ? run_local_address
             : symbol->kind == Symbol::KERNEL_PARAM                         ? run_param_address
                                                                            : move_of(d.in.d.bytes);
}

// ---- generic addresses, and those of one space. x: to the space
void run_cvta(Warp& w, const Instr& in, u32 mask) {
  const u64 window = in.space == SP_SHARED ? shared_window : local_window;
  FOR_LANES(mask, {
    u64 a = w.get(in.a, i);
    w.set(in.d, i, in.x ? a - window : a + window);
  });
}
void decode_cvta(Decoder& d) {
  d.need(2);
  d.in.space = d.space();
  d.in.x = d.has("to");
  s64 offset = 0;
  if (Symbol* symbol = variable(d, d.operands[1], offset)) {
    if (symbol->kind == Symbol::LOCAL || symbol->kind == Symbol::PARAM)
      d.symbols.error("cvta of a local symbol");
    d.in.d = d.value(d.operands[0], d.type);
    take_address(d, *symbol, offset);
  } else {
    take_unary(d);
  }
  d.in.run = d.in.space == SP_SHARED || d.in.space == SP_LOCAL ? run_cvta : move_of(d.in.d.bytes);
}

void run_isspacep(Warp& w, const Instr& in, u32 mask) {
  FOR_LANES(mask, {
    u64 a = w.get(in.a, i);
    Space space = a < shared_window ? SP_GLOBAL : a < local_window ? SP_SHARED : SP_LOCAL;
    w.set(in.d, i, in.space == space);
  });
}
void decode_isspacep(Decoder& d) {
  d.in.space = d.space();
  d.take({PRED, B64});
  d.in.run = run_isspacep;
}

// The address a in the memory of block b of the cluster.
void run_mapa(Warp& w, const Instr& in, u32 mask) {
  FOR_LANES(mask, {
    u64 a = w.get(in.a, i), rank = w.get(in.b, i);
    u64 window = in.space == SP_SHARED ? 0 : shared_window;
    if (a < window || a - window >= 1ull << rank_shift)
      fail("mapa of an address that is none in shared memory of the block in %s",
           w.where(i).c_str());
    if (!w.block->cluster || rank >= w.block->cluster->blocks.size())
      fail("mapa: the cluster has no block %llu in %s", (unsigned long long)rank,
           w.where(i).c_str());
    w.set(in.d, i, a + ((rank + 1) << rank_shift));
  });
}
void decode_mapa(Decoder& d) {
  d.in.space = d.space();
  d.refuse_if(d.in.space != SP_GEN && !d.has("shared::cluster"));
  d.take({d.type, d.type, U32});
  d.in.run = run_mapa;
}

const Opcodes opcodes{{"mov", decode_mov, CL_MOVE},
                      {"cvta", decode_cvta, CL_MOVE},
                      {"isspacep", decode_isspacep, CL_MOVE},
                      {"mapa", decode_mapa, CL_MOVE}};
}  // namespace
}  // namespace ptxrun
