#pragma once

// Integer aliases, the scalar types of PTX, errors, bit casts.
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace ptxrun {
using std::string;
using std::vector;
using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using s8 = std::int8_t;
using s16 = std::int16_t;
using s32 = std::int32_t;
using s64 = std::int64_t;
using u128 = unsigned __int128;
using s128 = __int128;

// PTX types; TN means none.
enum Type : u8 {
  TN,
  U8,
  U16,
  U32,
  U64,
  S8,
  S16,
  S32,
  S64,
  B8,
  B16,
  B32,
  B64,
  B128,
  F16,
  BF16,
  F32,
  F64,
  TF32,
  F16X2,
  BF16X2,
  PRED,
  E4M3,
  E5M2,
  TYPE_COUNT
};
extern const char* const type_names[TYPE_COUNT];
bool parse_type(const string& name, Type& type);  // false: no type has that name
inline int type_size(Type t) {
  static const u8 bytes[TYPE_COUNT] = {0, 1,  2, 4, 8, 1, 2, 4, 8, 1, 2, 4,
                                       8, 16, 2, 2, 4, 8, 4, 4, 4, 0, 1, 1};
  return bytes[t];
}
inline bool is_signed(Type t) { return t >= S8 && t <= S64; }
inline bool is_float(Type t) { return t >= F16 && t <= BF16X2; }
inline bool is_pair(Type t) { return t == F16X2 || t == BF16X2; }  // two 16-bit values
inline bool is_half(Type t) { return t == F16 || t == BF16 || is_pair(t); }
inline bool is_fp8(Type t) { return t == E4M3 || t == E5M2; }

// Thrown by fail(); caught at the C interface and turned into ptx_error().
struct Failure {
  string message;
};
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

template <class T>
T bits(u64 v) {
  T t;
  memcpy(&t, &v, sizeof t);
  return t;
}
template <class T>
u64 raw(T t) {
  u64 v = 0;
  memcpy(&v, &t, sizeof t);
  return v;
}
// Value of the low bits of v as type t, extended to 64 bits.
inline u64 sign_extend(u64 v, Type t) {
  int s = 64 - 8 * type_size(t);
  return is_signed(t) ? (u64)((s64)(v << s) >> s) : (s ? (v << s) >> s : v);
}
inline u64 low_bits(Type t) { return ~0ull >> (64 - 8 * type_size(t)); }  // as many as t has
inline u64 round_up(u64 v, u64 multiple) { return (v + multiple - 1) / multiple * multiple; }
}  // namespace ptxrun
