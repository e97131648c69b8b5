// Exchange between the lanes of a warp.
#include "instructions/atomic.hpp"
#include "instructions/elementwise.hpp"
#include "instructions/opcodes.hpp"

namespace ptxrun {
namespace {
// ---- shfl: d = a of lane b, p = whether that is in the segment; c: clamp and segment mask
enum Shuffle : u8 { UP, DOWN, BUTTERFLY, INDEX };
void run_shfl(Warp& w, const Instr& in, u32 mask) {
  u32 values[32], inside = 0;
  each_lane(mask, [&](int i) {
    const u32 b = (u32)w.get(in.b, i) & 31, c = (u32)w.get(in.c, i);
    const u32 clamp = c & 31, segment = (c >> 8) & 31;
    const int last = (i & segment) | (clamp & ~segment), first = i & segment;
    int from = in.op == UP          ? i - (int)b
               : in.op == DOWN      ? i + (int)b
               : in.op == BUTTERFLY ? i ^ (int)b
                                    : (int)(first | (b & ~segment));
    bool valid = in.op == UP ? from >= last : from <= last;
    if (!valid) from = i;
    if (!((mask >> from) & 1))
      fail("shfl.sync reads inactive lane %d in %s", from, w.where(i).c_str());
    values[i] = w.lanes<u32>(in.a)[from];
    if (valid) inside |= 1u << i;
  });
  each_lane(mask, [&](int i) { w.set(in.d, i, values[i]); });
  if (in.p.present()) w.set_mask(in.p, mask, inside);
}
void decode_shfl(Decoder& d) {
  static const char* const modes[] = {"up", "down", "bfly", "idx"};
  d.need(5);
  int mode = d.which(modes);
  d.refuse_if(mode < 0);
  d.in.op = (u8)mode;
  d.destinations(d.operands[0], B32);
  d.in.a = d.value(d.operands[1], B32);
  d.in.b = d.value(d.operands[2], B32);
  d.in.c = d.value(d.operands[3], B32);
  d.in.e = d.value(d.operands[4], B32);
  d.run_together(run_shfl);
}

// ---- vote: on predicate a; neg: on its opposite
enum Vote : u8 { ALL, ANY, UNIFORM, BALLOT };
void run_vote(Warp& w, const Instr& in, u32 mask) {
  const u32 votes = (in.neg ? ~w.mask(in.a) : w.mask(in.a)) & mask;
  if (in.op == BALLOT) {
    FOR_LANES(mask, w.set(in.d, i, votes));
    return;
  }
  bool all = votes == mask, none = votes == 0;
  bool result = in.op == ALL ? all : in.op == ANY ? !none : all || none;
  w.set_mask(in.d, mask, result ? mask : 0);
}
void decode_vote(Decoder& d) {
  static const char* const modes[] = {"all", "any", "uni", "ballot"};
  d.need(3);
  int mode = d.which(modes);
  d.refuse_if(mode < 0);
  d.in.op = (u8)mode;
  d.in.d = d.value(d.operands[0], mode == BALLOT ? B32 : PRED);
  d.in.a = d.predicate(d.operands[1], d.in.neg);
  d.in.e = d.value(d.operands[2], B32);
  d.run_together(run_vote);
}

// ---- match: d = the lanes with the same a; x: only if that is all lanes, as p says
void run_match(Warp& w, const Instr& in, u32 mask) {
  u32 same[32];
  bool all = true;
  each_lane(mask, [&](int i) {
    u64 value = w.get(in.a, i);
    same[i] = 0;
    each_lane(mask, [&](int j) {
      if (w.get(in.a, j) == value) same[i] |= 1u << j;
    });
    all &= same[i] == mask;
  });
  each_lane(mask, [&](int i) { w.set(in.d, i, !in.x ? same[i] : all ? mask : 0); });
  if (in.p.present()) w.set_mask(in.p, mask, all ? mask : 0);
}
void decode_match(Decoder& d) {
  d.need(3);
  d.in.x = d.has("all");
  d.destinations(d.operands[0], B32);
  d.in.a = d.value(d.operands[1], d.type);
  d.in.e = d.value(d.operands[2], B32);
  d.run_together(run_match);
}

// ---- redux: all values of a combined
void run_redux(Warp& w, const Instr& in, u32 mask) {
  u64 result = w.get(in.a, first_lane(mask));
  each_lane(mask & (mask - 1),
            [&](int i) { result = (u32)atomic_result(in, result, w.get(in.a, i), 0); });
  FOR_LANES(mask, w.set(in.d, i, result));
}
void decode_redux(Decoder& d) {
  d.need(3);
  d.refuse_if(is_float(d.type) || !decode_atomic_op(d) || d.in.op > ATOMIC_XOR);
  d.in.d = d.value(d.operands[0], d.type);
  d.in.a = d.value(d.operands[1], d.type);
  d.in.e = d.value(d.operands[2], B32);
  d.run_together(run_redux);
}

// ---- elect: the first lane
void run_elect(Warp& w, const Instr& in, u32 mask) {
  const u32 first = first_lane(mask);
  FOR_LANES(mask, w.set(in.d, i, first); w.set(in.p, i, (u32)i == first));
}
void decode_elect(Decoder& d) {
  d.need(2);
  d.destinations(d.operands[0], B32);
  d.in.e = d.value(d.operands[1], B32);
  d.run_together(run_elect);
}

void run_activemask(Warp& w, const Instr& in, u32 mask) { FOR_LANES(mask, w.set(in.d, i, mask)); }
void decode_activemask(Decoder& d) {
  d.take({B32});
  d.in.run = run_activemask;
}

void run_bar_warp(Warp& w, const Instr&, u32) { w.syncs++; }
void decode_bar_warp(Decoder& d) {
  d.need(1);
  d.in.e = d.value(d.operands[0], B32);
  d.run_together(run_bar_warp);
}

const Opcodes opcodes{
    {"shfl", decode_shfl, CL_WARP},        {"vote", decode_vote, CL_WARP},
    {"match", decode_match, CL_WARP},      {"redux", decode_redux, CL_WARP},
    {"elect", decode_elect, CL_WARP},      {"activemask", decode_activemask, CL_WARP},
    {"bar.warp", decode_bar_warp, CL_WARP}};
}  // namespace
}  // namespace ptxrun
