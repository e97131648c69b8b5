// cp.async.bulk: copies of any multiple of 16 bytes between global and shared memory of this block,
// and from there to the shared memory of another block of the cluster.
#include "instructions/copy_bulk.hpp"

#include "instructions/elementwise.hpp"
#include "instructions/mbarrier.hpp"
#include "instructions/opcodes.hpp"

namespace ptxrun {
namespace {
// d: shared address, a: global address, b: bytes, c: address of the mbarrier.
template <Direction direction>
void run_bulk(Warp& w, const Instr& in, u32 mask) {
  each_lane(mask, [&](int i) {
    const u64 shared = shared_operand(w, in.d, in.offset_d, i);
    const u64 global = in.imm + w.get_or_zero(in.a, i);
    const u32 bytes = (u32)w.get(in.b, i);
    if ((bytes | shared | global) & 15)
      fail("cp.async.bulk needs addresses and a size that are multiples of 16 in %s",
           w.where(i).c_str());
    if (!bytes) return;
    w.check_global(global, bytes, i, "cp.async.bulk");
    if (shared + bytes > w.block->shared.size())  // or in another block
      fail("cp.async.bulk of %u bytes at shared offset 0x%llx runs over the block's %zu in %s",
           bytes, (unsigned long long)shared, w.block->shared.size(), w.where(i).c_str());
    if (w.counts) {
      InstrCount& c = w.counts[in.id];
      c.bytes += bytes;
      c.shared_bytes += bytes;
      c.sectors += (global + bytes + 31) / 32 - global / 32;
      c.ideal_sectors += (bytes + 31) / 32;
    }
    if (direction == TO_SHARED) {
      const u64 mbarrier = shared_operand(w, in.c, in.offset_c, i);
      mbarrier_at(w, mbarrier, i);
      start_copy(w, *w.block, shared, bytes, mbarrier,
                 [=](Block& block) { memcpy(block.shared.data() + shared, (void*)global, bytes); });
    } else {
      w.bulk_copies.add(
          i, [=](Warp& by) { memcpy((void*)global, by.block->shared.data() + shared, bytes); });
    }
  });
}
void decode_bulk(Decoder& d) {
  Instr& in = d.in;
  d.refuse_if(d.has("cp_mask") || d.has("multicast::cluster"));
  const bool to_shared = decode_direction(d) == TO_SHARED;
  d.need(to_shared ? 4 : 3);
  d.shared_address(d.operands[to_shared ? 0 : 1], in.d, in.offset_d);
  d.global_address(d.operands[to_shared ? 1 : 0]);
  in.b = d.value(d.operands[2], U32);
  if (to_shared) d.shared_address(d.operands[3], in.c, in.offset_c);
  in.run = to_shared ? run_bulk<TO_SHARED> : run_bulk<FROM_SHARED>;
}

// d: where to, a: where from, b: bytes, c: address of the mbarrier, in the block that receives
// them. The source is read when the copy lands.
void run_send(Warp& w, const Instr& in, u32 mask) {
  each_lane(mask, [&](int i) {
    u64 to = shared_operand(w, in.d, in.offset_d, i);
    u64 mbarrier = shared_operand(w, in.c, in.offset_c, i);
    const u64 from = shared_operand(w, in.a, (s32)in.imm, i);
    const u32 bytes = (u32)w.get(in.b, i);
    if ((bytes | to | from) & 15)
      fail("cp.async.bulk needs addresses and a size that are multiples of 16 in %s",
           w.where(i).c_str());
    if (!bytes) return;
    mbarrier_at(w, mbarrier, i);
    Block &source = *w.block, &target = w.shared_owner(to, i, "copy");
    if (&w.shared_owner(mbarrier, i, "copy") != &target)
      fail("cp.async.bulk to one block, with an mbarrier of another, in %s", w.where(i).c_str());
    if (from + bytes > source.shared.size() || to + bytes > target.shared.size())
      fail("cp.async.bulk of %u bytes runs over the end of shared memory in %s", bytes,
           w.where(i).c_str());
    if (w.counts) w.counts[in.id].shared_bytes += bytes;
    start_copy(w, target, to, bytes, mbarrier, [=, &source](Block& block) {
      if (source.done)
        fail("cp.async.bulk from the memory of block %u of the cluster, which has exited",
             source.rank);
      memcpy(block.shared.data() + to, source.shared.data() + from, bytes);
    });
  });
}
void decode_send(Decoder& d) {
  Instr& in = d.in;
  d.refuse_if(!d.has("mbarrier::complete_tx::bytes"));
  d.need(4);
  s32 offset;
  d.shared_address(d.operands[0], in.d, in.offset_d);
  d.shared_address(d.operands[1], in.a, offset);
  in.imm = offset;
  in.b = d.value(d.operands[2], U32);
  d.shared_address(d.operands[3], in.c, in.offset_c);
  in.run = run_send;
}

void run_commit(Warp& w, const Instr&, u32 mask) {
  each_lane(mask, [&](int i) { w.bulk_copies.commit(i); });
}
void decode_commit(Decoder& d) { d.in.run = run_commit; }
void run_wait(Warp& w, const Instr& in, u32 mask) {
  each_lane(mask,
            [&](int i) { w.bulk_copies.finish(i, (size_t)in.imm, [&](auto& copy) { copy(w); }); });
}
void decode_wait(Decoder& d) {
  d.need(1);
  d.in.imm = d.symbols.expression(d.operands[0]);
  d.in.run = run_wait;
}

const Opcodes opcodes{{"cp.async.bulk", decode_bulk, CL_CPASYNC},
                      {"cp.async.bulk.shared::cluster.shared::cta", decode_send, CL_CPASYNC},
                      {"cp.async.bulk.commit_group", decode_commit, CL_CPASYNC},
                      {"cp.async.bulk.wait_group", decode_wait, CL_CPASYNC},
                      {"cp.async.bulk.prefetch", decode_nothing, CL_CPASYNC}};
}  // namespace

Direction decode_direction(const Decoder& d) {
  size_t shared = 0, global = 0;  // the destination comes first
  for (size_t i = 1; i < d.words.size(); i++) {
    if (starts_with(d.words[i], "shared") && !shared) shared = i;
    if (d.words[i] == "global") global = i;
  }
  d.refuse_if(!shared || !global);
  const Direction direction = shared < global ? TO_SHARED : FROM_SHARED;
  d.refuse_if(!d.has(direction == TO_SHARED ? "mbarrier::complete_tx::bytes" : "bulk_group"));
  return direction;
}

u64 shared_operand(Warp& w, const Operand& operand, s32 offset, int lane) {
  u64 a = offset + w.get(operand, lane);
  return shared_offset(operand.bytes == 4 ? (u32)a : a);
}

void start_copy(Warp& w, Block& to, u64 offset, u64 bytes, u64 mbarrier,
                std::function<void(Block&)> land) {
  if (w.launch->options.cp_poison) memset(to.shared.data() + offset, 0xff, bytes);
  // By a warp of the block that it comes to.
  auto finish = [=](Warp& by) {
    land(*by.block);
    update_mbarrier(by, mbarrier, 0, -(s64)bytes, 0);
  };
  to.pending.push_back({mbarrier, finish, &to != w.block});
}
}  // namespace ptxrun
