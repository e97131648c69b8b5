#pragma once

// What atomics make of the old value; redux combines values by the same rules.
#include "text/decoder.hpp"

namespace ptxrun {
enum AtomicOp : u8 {
  ATOMIC_ADD,
  ATOMIC_MIN,
  ATOMIC_MAX,
  ATOMIC_AND,
  ATOMIC_OR,
  ATOMIC_XOR,
  ATOMIC_EXCH,
  ATOMIC_CAS,
  ATOMIC_INC,
  ATOMIC_DEC
};
// Sets in.op by the words. False: none of them is an operation.
bool decode_atomic_op(Decoder& d);
// in.op of old and b, or with c in the place of old where old is b; values of type in.t.
u64 atomic_result(const Instr& in, u64 old, u64 b, u64 c);
}  // namespace ptxrun
