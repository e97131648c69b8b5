#include "instructions/mbarrier.hpp"

#include "instructions/elementwise.hpp"
#include "instructions/opcodes.hpp"

namespace ptxrun {
namespace {
// Bit 62 marks an mbarrier as initialised; poison has bit 63 set.
struct Mbarrier {
  s64 expected, pending;  // arrivals
  s64 bytes;              // outstanding
  u32 phase;
};
constexpr u64 valid_bit = 1ull << 62, arrivals_mask = 0xfffff;
constexpr s64 most_bytes = 0xfffff;

Mbarrier unpacked(u64 v, Warp& w, int lane) {
  if (!(v & valid_bit) || v >> 63)
    fail("use of an mbarrier that is not initialised in %s", w.where(lane).c_str());
  return {(s64)(v & arrivals_mask), (s64)(v >> 20 & arrivals_mask),
          (s64)(v >> 41 & 0x1fffff) - (most_bytes + 1), (u32)(v >> 40 & 1)};
}
u64 packed(const Mbarrier& b) {
  return valid_bit | (u64)b.expected | (u64)b.pending << 20 | (u64)b.phase << 40 |
         (u64)(b.bytes + most_bytes + 1) << 41;
}
Mbarrier read(Warp& w, u64 offset, int lane) {
  u64 v;
  memcpy(&v, mbarrier_at(w, offset, lane), 8);
  return unpacked(v, w, lane);
}
void write(Warp& w, u64 offset, int lane, const Mbarrier& b) {
  u64 v = packed(b);
  memcpy(mbarrier_at(w, offset, lane), &v, 8);
}

// ---- instructions: at address a, with operand b
template <void (*f)(Warp&, const Instr&, u64 offset, int lane)>
void run_mbarrier(Warp& w, const Instr& in, u32 mask) {
  each_lane(mask, [&](int i) { f(w, in, shared_offset(address_of(w, in, i)), i); });
  w.syncs++;
}
void init(Warp& w, const Instr& in, u64 offset, int lane) {
  need_own_mbarrier(w, offset, lane);
  u64 count = w.get(in.b, lane);
  if (!count || count > arrivals_mask)
    fail("mbarrier.init with count %llu in %s", (unsigned long long)count, w.where(lane).c_str());
  write(w, offset, lane, {(s64)count, (s64)count, 0, 0});
}
void invalidate(Warp& w, const Instr&, u64 offset, int lane) {
  need_own_mbarrier(w, offset, lane);
  read(w, offset, lane);  // must be valid
  memset(mbarrier_at(w, offset, lane), 0xff, 8);
}
void expect_bytes(Warp& w, const Instr& in, u64 offset, int lane) {
  update_mbarrier(w, offset, lane, (s64)w.get(in.b, lane), 0);
}
void complete_bytes(Warp& w, const Instr& in, u64 offset, int lane) {
  update_mbarrier(w, offset, lane, -(s64)w.get(in.b, lane), 0);
}
// d: the phase that the arrivals belong to. b: arrivals (absent: one) or, with x, bytes to expect;
// y: that many fewer in later phases.
void arrive(Warp& w, const Instr& in, u64 offset, int lane) {
  if (in.y) need_own_mbarrier(w, offset, lane);
  Mbarrier b = read(w, offset, lane);
  const s64 operand = (s64)w.get_or_zero(in.b, lane);
  const s64 arrivals = in.x || !in.b.present() ? 1 : operand;
  if (in.x) {  // before the arrival, so that the phase cannot complete in between
    b.bytes += operand;
    write(w, offset, lane, b);
  }
  update_mbarrier(w, offset, lane, 0, arrivals, in.y ? arrivals : 0);
  if (in.d.present()) {
    need_own_mbarrier(w, offset, lane);
    w.set(in.d, lane, b.phase);
  }
}

// Lands the copies that signal this mbarrier. Under a random order, each only now and then.
void land_copies(Warp& w, u64 offset) {
  auto& list = w.block->pending;
  for (size_t i = 0; i < list.size();) {
    if (list[i].mbarrier != offset || (w.launch->options.shuffle && w.block->worker->rng() & 1)) {
      i++;
      continue;
    }
    auto land = std::move(list[i].land);
    list.erase(list.begin() + i);
    land(w);
  }
}
// d: whether the phase of parity b is over.
void wait(Warp& w, const Instr& in, u64 offset, int lane) {
  constexpr u64 most_polls = 3000000;
  need_own_mbarrier(w, offset, lane);
  mbarrier_at(w, offset, lane);
  land_copies(w, offset);
  Mbarrier b = read(w, offset, lane);
  const bool over = ((u32)w.get(in.b, lane) & 1) != b.phase;
  w.set(in.d, lane, over);
  if (over) {
    w.block->failed_polls = 0;
    return;
  }
  w.yield = true;
  if (++w.block->failed_polls > most_polls)
    fail(
        "deadlock: an mbarrier at shared offset 0x%llx never completes its phase (%lld arrivals "
        "and "
        "%lld bytes outstanding) in %s",
        (unsigned long long)offset, (long long)b.pending, (long long)b.bytes,
        w.where(lane).c_str());
}
void run_wait(Warp& w, const Instr& in, u32 mask) {
  each_lane(mask, [&](int i) { wait(w, in, shared_offset(address_of(w, in, i)), i); });
}

// ---- decoding
void take_mbarrier(Decoder& d, size_t operand) {
  d.need(operand + 1);
  d.refuse_if(d.has("noComplete") || d.has("multicast::cluster"));
  d.memory(d.operands[operand]);
  d.refuse_if(d.in.dynamic_shared || d.in.space == SP_LPARAM);
}
// Of the thread's own block.
template <Handler run>
void decode_own(Decoder& d) {
  d.refuse_if(d.has("shared::cluster"));
  take_mbarrier(d, 0);
  if (d.operands.size() > 1) d.in.b = d.value(d.operands[1], U32);
  d.in.run = run;
}
void decode_init(Decoder& d) {
  d.need(2);
  decode_own<run_mbarrier<init>>(d);
}
template <Handler run>
void decode_bytes(Decoder& d) {
  d.need(2);
  take_mbarrier(d, 0);
  d.in.b = d.value(d.operands[1], U32);
  d.in.run = run;
}
void decode_arrive(Decoder& d) {
  d.need(1);
  d.in.x = d.has("expect_tx");
  const bool state = !starts_with(d.operands[0], "[");
  if (state) d.in.d = d.value(d.operands[0], B64);
  take_mbarrier(d, state);
  d.need(state + 1u + d.in.x);
  if (d.operands.size() > state + 1u) d.in.b = d.value(d.operands[state + 1u], U32);
  d.in.run = run_mbarrier<arrive>;
}
void decode_arrive_drop(Decoder& d) {
  d.refuse_if(d.has("expect_tx") || d.has("shared::cluster"));
  d.in.y = true;
  decode_arrive(d);
}
void decode_wait(Decoder& d) {
  d.need(3);
  d.refuse_if(d.has("shared::cluster"));
  d.in.d = d.value(d.operands[0], PRED);
  take_mbarrier(d, 1);
  d.in.b = d.value(d.operands[2], d.has("parity") ? U32 : B64);
  d.in.run = run_wait;
}

const Opcodes opcodes{
    {"mbarrier.init", decode_init, CL_BARRIER},
    {"mbarrier.inval", decode_own<run_mbarrier<invalidate>>, CL_BARRIER},
    {"mbarrier.expect_tx", decode_bytes<run_mbarrier<expect_bytes>>, CL_BARRIER},
    {"mbarrier.complete_tx", decode_bytes<run_mbarrier<complete_bytes>>, CL_BARRIER},
    {"mbarrier.arrive", decode_arrive, CL_BARRIER},
    {"mbarrier.arrive_drop", decode_arrive_drop, CL_BARRIER},
    {"mbarrier.test_wait", decode_wait, CL_BARRIER},
    {"mbarrier.try_wait", decode_wait, CL_BARRIER}};
}  // namespace

u8* mbarrier_at(Warp& w, u64 offset, int lane) {
  return w.shared_ptr(offset, 8, lane, "mbarrier", ATOMIC);
}
void need_own_mbarrier(Warp& w, u64 offset, int lane) {
  if (offset >> rank_shift)
    fail("an mbarrier of another block, by an instruction that takes none, in %s",
         w.where(lane).c_str());
}
void update_mbarrier(Warp& w, u64 offset, int lane, s64 bytes, s64 arrivals, s64 drop) {
  Mbarrier b = read(w, offset, lane);
  b.bytes += bytes;
  b.pending -= arrivals;
  b.expected -= drop;
  if (b.pending < 0 || b.expected < 0)
    fail("more arrivals at an mbarrier than it expects in %s", w.where(lane).c_str());
  if (b.bytes > most_bytes || b.bytes < -most_bytes)
    fail("transaction count of an mbarrier overflows in %s", w.where(lane).c_str());
  const bool complete = b.pending == 0 && b.bytes == 0;
  if (complete) {
    b.phase ^= 1;
    b.pending = b.expected;
  }
  write(w, offset, lane, b);
  Block& owner = w.shared_owner(offset, lane, "mbarrier");
  if (complete) owner.epoch++;  // for race checks: a completed phase orders like a barrier
  owner.failed_polls = 0;
}
}  // namespace ptxrun
