// Loads and stores.
#include <type_traits>

#include "instructions/memory_access.hpp"
#include "instructions/opcodes.hpp"
#include "text/decoder.hpp"

namespace ptxrun {
namespace {
// v0: nv registers; each has type R and holds a value of type M in memory.
template <class M, class R>
void run_load(Warp& w, const Instr& in, u32 mask) {
  const u32 n = sizeof(M) * in.nv;
  const Operand* v = w.list(in.v0);
  LaneAddresses at(w, in, mask);
  at.count(w, in, mask, n);
  u64 base;
  if (at.all_valid(w, in, mask, n, base)) {
    for (u32 j = 0; j < in.nv; j++) {
      if (!v[j].present()) continue;
      R* r = w.lanes<R>(v[j]);
      const u64 b = base + j * sizeof(M);
      if (mask == ~0u)
        for (int i = 0; i < 32; i++) r[i] = (R) * (M*)(b + at.of[i]);
      else
        each_lane(mask, [&](int i) { r[i] = (R) * (M*)(b + at.of[i]); });
    }
    return;
  }
  each_lane(mask, [&](int i) {
    u8* p = w.memory(in.space, at.of[i], n, i, "read", READ);
    for (u32 j = 0; j < in.nv; j++)
      if (v[j].present()) {
        M value;
        memcpy(&value, p + j * sizeof(M), sizeof(M));
        w.lanes<R>(v[j])[i] = (R)value;
      }
  });
}
// Of a kernel's parameters: the same for all lanes, at imm.
template <class M, class R>
void run_load_param(Warp& w, const Instr& in, u32 mask) {
  const Operand* v = w.list(in.v0);
  for (u32 j = 0; j < in.nv; j++) {
    if (!v[j].present()) continue;
    M value;
    memcpy(&value, w.launch->params.data() + in.imm + j * sizeof(M), sizeof(M));
    R* r = w.lanes<R>(v[j]);
    FOR_LANES(mask, r[i] = (R)value);
  }
}
template <class M, class R>
void run_store(Warp& w, const Instr& in, u32 mask) {
  const u32 n = sizeof(M) * in.nv;
  const Operand* v = w.list(in.v0);
  LaneAddresses at(w, in, mask);
  at.count(w, in, mask, n);
  u64 base;
  if (at.all_valid(w, in, mask, n, base)) {
    if (in.nv == 1) {
      const R* r = w.lanes<R>(v[0]);
      FOR_LANES(mask, *(M*)(base + at.of[i]) = (M)r[i]);
    } else {  // lane by lane, so that overlapping lanes behave as in the slow form
      each_lane(mask, [&](int i) {
        for (u32 j = 0; j < in.nv; j++)
          *(M*)(base + at.of[i] + j * sizeof(M)) = (M)w.lanes<R>(v[j])[i];
      });
    }
    return;
  }
  each_lane(mask, [&](int i) {
    u8* p = w.memory(in.space, at.of[i], n, i, "write", ATOMIC);
    M values[16];
    for (u32 j = 0; j < in.nv; j++) values[j] = (M)w.lanes<R>(v[j])[i];
    if (w.launch->options.racecheck)
      if (Block* owner = block_around(w, p); owner && memcmp(p, values, n))
        // A write that changes nothing is benign.
        w.check_race(*owner, p - owner->shared.data(), n, i, true);
    memcpy(p, values, n);
  });
}
// Registers of different widths; bytes: of each value in memory.
void run_load_mixed(Warp& w, const Instr& in, u32 mask) {
  const Operand* v = w.list(in.v0);
  LaneAddresses at(w, in, mask);
  at.count(w, in, mask, in.bytes * in.nv);
  each_lane(mask, [&](int i) {
    u8* p = w.memory(in.space, at.of[i], in.bytes * in.nv, i, "read", READ);
    for (u32 j = 0; j < in.nv; j++) {
      u64 value = 0;
      memcpy(&value, p + j * in.bytes, in.bytes);
      w.set(v[j], i, sign_extend(value, in.t));
    }
  });
}
void run_store_mixed(Warp& w, const Instr& in, u32 mask) {
  const Operand* v = w.list(in.v0);
  LaneAddresses at(w, in, mask);
  at.count(w, in, mask, in.bytes * in.nv);
  each_lane(mask, [&](int i) {
    u8* p = w.memory(in.space, at.of[i], in.bytes * in.nv, i, "write", WRITE);
    for (u32 j = 0; j < in.nv; j++) {
      u64 value = w.get(v[j], i);
      memcpy(p + j * in.bytes, &value, in.bytes);
    }
  });
}

// f(M(), R()) for the type in memory and the bytes of registers; null where there is no such pair.
template <class F>
Handler by_types(Type memory, int register_bytes, F f) {
  auto with = [&](auto m) -> Handler {
    return register_bytes == 2   ? f(m, u16())
           : register_bytes == 4 ? f(m, u32())
           : register_bytes == 8 ? f(m, u64())
                                 : nullptr;
  };
  switch (memory) {
    case S8:
      return with(s8());
    case S16:
      return with(s16());
    case S32:
      return with(s32());
    case S64:
      return with(s64());
    case U8:
    case B8:
      return with(u8());
    case U16:
    case B16:
    case F16:
    case BF16:
      return with(u16());
    case U32:
    case B32:
    case F32:
    case F16X2:
    case BF16X2:
      return with(u32());
    case U64:
    case B64:
    case F64:
      return with(u64());
    default:
      return nullptr;
  }
}

// Bytes of the registers in the list, which all must have; 0 where they differ.
int common_bytes(Decoder& d) {
  int bytes = 0;
  for (u32 j = 0; j < d.in.nv; j++) {
    const Operand& o = d.symbols.function->lists[d.in.v0 + j];
    if (!o.present()) continue;
    if (bytes && o.bytes != bytes) return 0;
    bytes = o.bytes;
  }
  return bytes ? bytes : 4;
}
// The registers, as many as the words say.
void take_values(Decoder& d, const string& text) {
  d.refuse_if(d.type == TN || d.type == PRED || type_size(d.type) > 8 || d.has("async"));
  d.list(text, type_size(d.type) < 2 ? B16 : d.type, d.in.v0, d.in.nv);
  u32 count = d.has("v2") ? 2 : d.has("v4") ? 4 : d.has("v8") ? 8 : 1;
  if (d.in.nv != count) d.error("vector width mismatch");
  d.in.bytes = (u8)type_size(d.type);
}

void decode_ld(Decoder& d) {
  d.need(2);
  take_values(d, d.operands[0]);
  const int bytes = common_bytes(d);
  if (Address at = d.address(d.operands[1]); at.kernel_param) {
    d.in.space = SP_PARAM;
    d.in.imm = at.offset;
    d.in.run = by_types(d.type, bytes, [](auto m, auto r) -> Handler {
      return run_load_param<decltype(m), decltype(r)>;
    });
  } else {
    d.memory(d.operands[1]);
    Handler run = by_types(d.type, bytes, [](auto m, auto r) -> Handler {
      return run_load<decltype(m), decltype(r)>;
    });
    d.in.run = run ? run : run_load_mixed;
  }
  d.in.category = d.memory_category(false);
}
void decode_st(Decoder& d) {
  d.need(2);
  take_values(d, d.operands[1]);
  d.memory(d.operands[0]);
  // What is written does not depend on signs.
  static const Type unsigned_types[] = {TN, U8, U16, TN, U32, TN, TN, TN, U64};
  Handler run =
      by_types(unsigned_types[d.in.bytes], common_bytes(d), [](auto m, auto r) -> Handler {
        if constexpr (std::is_signed_v<decltype(m)>)
          return nullptr;
        else
          return run_store<decltype(m), decltype(r)>;
      });
  d.in.run = run ? run : run_store_mixed;
  d.in.category = d.memory_category(true);
}

const Opcodes opcodes{
    {"ld", decode_ld, CL_LDG}, {"ldu", decode_ld, CL_LDG}, {"st", decode_st, CL_STG}};
}  // namespace
}  // namespace ptxrun
