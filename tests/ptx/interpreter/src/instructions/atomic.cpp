// Atomic operations on memory.
#include "instructions/atomic.hpp"

#include <algorithm>

#include "instructions/float.hpp"
#include "instructions/memory_access.hpp"
#include "instructions/opcodes.hpp"

namespace ptxrun {
namespace {
u64 sum(Type t, u64 a, u64 b) {
  if (t == F32) return raw(bits<float>(a) + bits<float>(b));
  if (t == F64) return raw(bits<double>(a) + bits<double>(b));
  if (!is_half(t)) return a + b;
  return each_half(t, [&](int shift) {
    return half_result(t, half_value(t, a >> shift) + half_value(t, b >> shift));
  });
}
u64 extremum(Type t, u64 a, u64 b, bool greatest) {
  auto of_floats = [&](auto x, auto y) {
    return greatest ? FloatMaximum::f(x, y) : FloatMinimum::f(x, y);
  };
  if (t == F32) return raw(of_floats(bits<float>(a), bits<float>(b)));
  if (is_half(t))
    return each_half(t, [&](int shift) {
      return half_result(t, of_floats(half_value(t, a >> shift), half_value(t, b >> shift)));
    });
  bool a_is_less = is_signed(t) ? (s64)sign_extend(a, t) < (s64)sign_extend(b, t) : a < b;
  return a_is_less == greatest ? b : a;
}

template <class U>
u64 host_atomic(u8* p, const Instr& in, u64 b, u64 c) {
  U old = __atomic_load_n((U*)p, __ATOMIC_SEQ_CST);
  while (!__atomic_compare_exchange_n((U*)p, &old, (U)atomic_result(in, old, b, c), false,
                                      __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
  }
  return old;
}
// d and b, or the lists w0 (nw of them) and v0 (nv of them): old values and operands. c: the
// second operand of cas.
void run_atom(Warp& w, const Instr& in, u32 mask) {
  const u32 bytes = type_size(in.t), count = in.nv ? in.nv : 1;
  const Operand* operands = in.nv ? w.list(in.v0) : &in.b;
  const Operand* results = in.nw ? w.list(in.w0) : &in.d;
  LaneAddresses at(w, in, mask);
  at.count(w, in, mask, bytes * count);
  each_lane(mask, [&](int i) {
    u8* p = w.memory(in.space, at.of[i], bytes * count, i, "atomic", ATOMIC);
    bool others = w.launch->parallel && !block_around(w, p);
    for (u32 j = 0; j < count; j++, p += bytes) {
      u64 old = 0, b = w.get(operands[j], i), c = w.get_or_zero(in.c, i);
      if (others) {
        old = bytes == 2   ? host_atomic<u16>(p, in, b, c)
              : bytes == 4 ? host_atomic<u32>(p, in, b, c)
                           : host_atomic<u64>(p, in, b, c);
      } else {
        memcpy(&old, p, bytes);
        u64 result = atomic_result(in, old, b, c);
        memcpy(p, &result, bytes);
      }
      if (in.nw || j == 0) w.set(results[j], i, old);
    }
  });
}

// red has no result.
void decode_atom(Decoder& d) {
  Instr& in = d.in;
  const size_t first = d.is("atom");
  d.need(first + 2);
  d.refuse_if(!decode_atomic_op(d) || d.has("async") || type_size(d.type) < 2 ||
              type_size(d.type) > 8);
  d.memory(d.operands[first]);
  const string& operand = d.operands[first + 1];
  if (starts_with(operand, "{")) {
    d.list(operand, d.type, in.v0, in.nv);
    if (first) d.list(d.operands[0], d.type, in.w0, in.nw);
  } else {
    in.b = d.value(operand, d.type);
    if (first) in.d = d.value(d.operands[0], d.type);
  }
  if (first && d.operands.size() > 3) in.c = d.value(d.operands[3], d.type);
  in.run = run_atom;
  const bool shared = in.space == SP_SHARED;
  in.category = shared ? CL_ATS : CL_ATG;
  if (!shared && is_float(d.type)) d.symbols.function->float_atomic = true;
}

const Opcodes opcodes{{"atom", decode_atom, CL_ATG}, {"red", decode_atom, CL_ATG}};
}  // namespace

bool decode_atomic_op(Decoder& d) {
  static const char* const names[] = {"add", "min",  "max", "and", "or",
                                      "xor", "exch", "cas", "inc", "dec"};
  int op = d.which(names);
  if (op < 0) return false;
  d.in.op = (u8)op;
  return true;
}

u64 atomic_result(const Instr& in, u64 old, u64 b, u64 c) {
  switch (in.op) {
    case ATOMIC_ADD:
      return sum(in.t, old, b);
    case ATOMIC_MIN:
    case ATOMIC_MAX:
      return extremum(in.t, old, b, in.op == ATOMIC_MAX);
    case ATOMIC_AND:
      return old & b;
    case ATOMIC_OR:
      return old | b;
    case ATOMIC_XOR:
      return old ^ b;
    case ATOMIC_EXCH:
      return b;
    case ATOMIC_CAS:
      return old == b ? c : old;
    case ATOMIC_INC:
      return (u32)old >= (u32)b ? 0 : (u32)old + 1;
    case ATOMIC_DEC:
      return (u32)old == 0 || (u32)old > (u32)b ? b : (u32)old - 1;
  }
  return 0;
}
}  // namespace ptxrun
