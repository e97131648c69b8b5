#pragma once

// Handlers of instructions that compute each lane by itself: d = O::f(a), f(a, b) or f(a, b, c).
#include "machine/machine.hpp"
#include "text/decoder.hpp"

namespace ptxrun {
template <class O, class D, class A = D>
void map1(Warp& w, const Instr& in, u32 mask) {
  D* d = w.lanes<D>(in.d);
  const A* a = w.lanes<A>(in.a);
  FOR_LANES(mask, d[i] = O::f(a[i]));
}
template <class O, class D, class A = D, class B = A>
void map2(Warp& w, const Instr& in, u32 mask) {
  D* d = w.lanes<D>(in.d);
  const A* a = w.lanes<A>(in.a);
  const B* b = w.lanes<B>(in.b);
  FOR_LANES(mask, d[i] = O::f(a[i], b[i]));
}
template <class O, class D, class A = D>
void map3(Warp& w, const Instr& in, u32 mask) {
  D* d = w.lanes<D>(in.d);
  const A *a = w.lanes<A>(in.a), *b = w.lanes<A>(in.b);
  const D* c = w.lanes<D>(in.c);
  FOR_LANES(mask, d[i] = O::f(a[i], b[i], c[i]));
}

// A rare instruction: f takes the bits of the sources and gives those of the result.
using Scalar = u64 (*)(const Instr&, u64 a, u64 b, u64 c, u64 e);
template <Scalar f>
void map_bits(Warp& w, const Instr& in, u32 mask) {
  FOR_LANES(mask, w.set(in.d, i,
                        f(in, w.get_or_zero(in.a, i), w.get_or_zero(in.b, i),
                          w.get_or_zero(in.c, i), w.get_or_zero(in.e, i))));
}

// f(T()) with the integer type T of a PTX type; null where it has none.
template <class F>
Handler by_integer(Type type, F f) {
  switch (type) {
    case U16:
    case B16:
      return f(u16());
    case S16:
      return f(s16());
    case U32:
    case B32:
      return f(u32());
    case S32:
      return f(s32());
    case U64:
    case B64:
      return f(u64());
    case S64:
      return f(s64());
    default:
      return nullptr;
  }
}
// f(T()) with the unsigned type T of so many bytes; null where there is none.
template <class F>
Handler by_size(int bytes, F f) {
  return bytes == 2 ? f(u16()) : bytes == 4 ? f(u32()) : bytes == 8 ? f(u64()) : nullptr;
}
template <class O>
Handler unary(Type type) {
  return by_integer(type, [](auto t) -> Handler { return map1<O, decltype(t)>; });
}
template <class O>
Handler binary(Type type) {
  return by_integer(type, [](auto t) -> Handler { return map2<O, decltype(t)>; });
}
template <class O>
Handler ternary(Type type) {
  return by_integer(type, [](auto t) -> Handler { return map3<O, decltype(t)>; });
}

// Decode functions of instructions whose operands all have its type.
inline void take_unary(Decoder& d) { d.take({d.type, d.type}); }
inline void take_binary(Decoder& d) { d.take({d.type, d.type, d.type}); }
inline void take_ternary(Decoder& d) { d.take({d.type, d.type, d.type, d.type}); }
template <class O>
void decode_unary(Decoder& d) {
  take_unary(d);
  d.in.run = unary<O>(d.type);
}
template <class O>
void decode_binary(Decoder& d) {
  take_binary(d);
  d.in.run = binary<O>(d.type);
}
template <Scalar f>
void decode_bits2(Decoder& d) {
  take_binary(d);
  d.in.run = map_bits<f>;
}
template <Scalar f>
void decode_bits3(Decoder& d) {
  take_ternary(d);
  d.in.run = map_bits<f>;
}

inline void run_nothing(Warp&, const Instr&, u32) {}
inline void decode_nothing(Decoder& d) { d.in.run = run_nothing; }

struct Same {
  template <class T>
  static T f(T a) {
    return a;
  }
};
struct Add {
  template <class T>
  static T f(T a, T b) {
    return a + b;
  }
};
struct Subtract {
  template <class T>
  static T f(T a, T b) {
    return a - b;
  }
};
struct Multiply {
  template <class T>
  static T f(T a, T b) {
    return a * b;
  }
};
struct Negate {
  template <class T>
  static T f(T a) {
    return -a;
  }
};
}  // namespace ptxrun
