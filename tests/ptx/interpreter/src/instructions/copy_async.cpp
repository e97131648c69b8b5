// cp.async: copies of 4, 8 or 16 bytes per lane from global to shared memory. One lands when it is
// waited for; until then its destination is poisoned, so that a missing wait shows as wrong data.
#include "instructions/elementwise.hpp"
#include "instructions/mbarrier.hpp"
#include "instructions/opcodes.hpp"
#include "machine/counts.hpp"

namespace ptxrun {
namespace {
void land(const LaneCopy& copy, u8* to) {
  memcpy(to, copy.from, copy.read);
  memset(to + copy.read, 0, copy.bytes - copy.read);
}

// d: shared address, a: global address; v0: where nv, how many of the bytes to read.
void run_copy(Warp& w, const Instr& in, u32 mask) {
  u64 global[32], shared[32];
  u32 reads = 0;
  each_lane(mask, [&](int i) {
    u64 to = shared_offset(w.get(in.d, i) + in.offset_d);
    if (in.d.bytes == 4) to = (u32)to;
    const u32 bytes = in.bytes;
    const u32 read = in.nv ? std::min(bytes, (u32)w.get(*w.list(in.v0), i)) : bytes;
    const u64 from = in.imm + w.get_or_zero(in.a, i);
    u8* destination = w.shared_ptr(to, bytes, i, "cp.async write", WRITE);
    if (read) {
      if (from & (bytes - 1)) fail("misaligned cp.async source in %s", w.where(i).c_str());
      w.check_global(from, read, i, "cp.async read");
      reads |= 1u << i;
    }
    if (w.launch->options.cp_poison) memset(destination, 0xff, bytes);
    global[i] = from;
    shared[i] = to;
    w.copies.add(i, {to, (const u8*)from, (u8)bytes, (u8)read});
  });
  if (w.counts) {
    if (reads) count_global(w.counts[in.id], global, reads, in.bytes);
    count_shared(w.counts[in.id], shared, mask, in.bytes);
  }
}
void decode_copy(Decoder& d) {
  Instr& in = d.in;
  d.need(3);
  in.space = SP_GLOBAL;
  d.shared_address(d.operands[0], in.d, in.offset_d);
  d.global_address(d.operands[1]);
  in.bytes = (u8)d.symbols.expression(d.operands[2]);
  if (d.operands.size() > 3) {  // a size, a cache policy of 64 bits, or a predicate
    d.list(d.operands[3], U32, in.v0, in.nv);
    const u8 bytes = d.symbols.function->lists[in.v0].bytes;
    d.refuse_if(bytes != 4 && bytes != 8);
    if (bytes == 8) in.nv = 0;
  }
  in.run = run_copy;
}

// Of all groups but the last so many.
void land_groups(Warp& w, int lane, size_t keep) {
  w.copies.finish(lane, keep, [&](const LaneCopy& copy) {
    land(copy, w.shared_ptr(copy.to, copy.bytes, lane, "cp.async write", WRITE));
  });
}
void run_commit(Warp& w, const Instr&, u32 mask) {
  each_lane(mask, [&](int i) { w.copies.commit(i); });
}
void decode_commit(Decoder& d) { d.in.run = run_commit; }
void run_wait_group(Warp& w, const Instr& in, u32 mask) {
  each_lane(mask, [&](int i) { land_groups(w, i, (size_t)in.imm); });
}
void decode_wait_group(Decoder& d) {
  d.need(1);
  d.in.imm = d.symbols.expression(d.operands[0]);
  d.in.run = run_wait_group;
}
void run_wait_all(Warp& w, const Instr&, u32 mask) {
  each_lane(mask, [&](int i) {
    w.copies.commit(i);
    land_groups(w, i, 0);
  });
}
void decode_wait_all(Decoder& d) { d.in.run = run_wait_all; }

// An arrival at an mbarrier when this lane's copies so far have landed. x: that the mbarrier has
// counted already.
void run_arrive(Warp& w, const Instr& in, u32 mask) {
  each_lane(mask, [&](int i) {
    const u64 mbarrier = shared_offset(address_of(w, in, i));
    need_own_mbarrier(w, mbarrier, i);
    if (!in.x) update_mbarrier(w, mbarrier, i, 0, -1);
    vector<LaneCopy> copies = w.copies.take_all(i);
    w.block->pending.push_back({mbarrier, [copies, mbarrier](Warp& by) {
                                  for (auto& copy : copies)
                                    land(copy, by.block->shared.data() + copy.to);
                                  update_mbarrier(by, mbarrier, 0, 0, 1);
                                }});
  });
}
void decode_arrive(Decoder& d) {
  d.need(1);
  d.in.x = d.has("noinc");
  d.memory(d.operands[0]);
  d.in.run = run_arrive;
}

const Opcodes opcodes{{"cp.async.ca", decode_copy, CL_CPASYNC},
                      {"cp.async.cg", decode_copy, CL_CPASYNC},
                      {"cp.async.commit_group", decode_commit, CL_CPASYNC},
                      {"cp.async.wait_group", decode_wait_group, CL_CPASYNC},
                      {"cp.async.wait_all", decode_wait_all, CL_CPASYNC},
                      {"cp.async.mbarrier.arrive", decode_arrive, CL_CPASYNC}};
}  // namespace
}  // namespace ptxrun
