// Barriers of a block and of a cluster.
#include "instructions/opcodes.hpp"
#include "machine/machine.hpp"
#include "text/decoder.hpp"

namespace ptxrun {
namespace {
// Calls f(warp, split) for each split of a block that waits in this state.
template <class F>
void each_waiting(Block& block, SplitState state, F f) {
  for (auto& w : block.warps) {
    if (w->current.state == state && w->current.mask) f(*w, w->current);
    for (auto& split : w->others)
      if (split.state == state && split.mask) f(*w, split);
    w->syncs++;
    w->find_lowest();
  }
}
void release(Split& split) {
  split.state = RUNNING;
  split.pc++;
}

enum Reduction : u8 { NO_REDUCTION, ALL, ANY, COUNT };
u32 reduced(u8 op, const Barrier& barrier) {
  return op == COUNT ? barrier.count : op == ALL ? barrier.all : barrier.any;
}

// Waits until the lanes that have come are the whole warp. False: others run first.
bool gather_warp(Warp& w, const Instr& in, u32& mask) {
  if (mask == w.live) return true;
  if (!w.others.empty()) {
    w.merge_same();
    mask = w.current.mask;
    if (mask == w.live) return true;
  }
  bool others_run = false;
  for (auto& split : w.others) others_run |= split.state == RUNNING;
  if (others_run && in.guard < 0) {
    w.park(WAIT_CONVERGE);
    return false;
  }
  fail(
      "aligned barrier (__syncthreads) reached by only part of the warp: lanes %08x of live %08x "
      "in %s",
      mask, w.live, w.where(first_lane(mask)).c_str());
}

// ---- of a block: a = which, b = threads (absent: all); op: reduction of predicate c into d
void arrive(Warp& w, const Instr& in, u32 mask, int id) {
  const u32 threads = (u32)w.get_or_zero(in.b, first_lane(mask));
  Barrier& barrier = w.block->barriers[id];
  if (!barrier.arrived) {
    barrier = Barrier();
    barrier.expected = threads;
  } else if (barrier.expected != threads) {
    fail("barrier %d: thread counts differ (%u and %u) in %s", id, barrier.expected, threads,
         w.where(first_lane(mask)).c_str());
  }
  if (id || (threads && threads != w.block->live)) w.block->partial_barrier = true;
  if (in.op != NO_REDUCTION) {
    const u32 holds = (in.neg ? ~w.mask(in.c) : w.mask(in.c)) & mask;
    if (holds != mask) barrier.all = 0;
    if (holds) barrier.any = 1;
    barrier.count += __builtin_popcount(holds);
  }
  barrier.arrived += __builtin_popcount(mask);
}
int barrier_id(Warp& w, const Instr& in, u32 mask) {
  return (int)w.get(in.a, first_lane(mask)) & 15;
}
Outcome run_bar_arrive(Warp& w, const Instr& in, u32 mask) {
  const int id = barrier_id(w, in, mask);
  arrive(w, in, mask, id);
  w.current.pc++;
  check_barrier(*w.block, id);
  return CONTINUES;
}
Outcome run_bar_sync(Warp& w, const Instr& in, u32 mask) {
  if (in.aligned && !gather_warp(w, in, mask)) return CONTINUES;
  const int id = barrier_id(w, in, mask);
  arrive(w, in, mask, id);
  w.current.state = WAIT_BARRIER;
  w.current.barrier = (u8)id;
  check_barrier(*w.block, id);  // may release this split
  if (w.current.state == RUNNING) return CONTINUES;
  return w.park(WAIT_BARRIER) ? CONTINUES : BLOCKED;
}
void decode_bar(Decoder& d) {
  Instr& in = d.in;
  in.kind = K_CONTROL;
  in.control = run_bar_sync;
  in.aligned = d.is("bar") || d.has("aligned");
  if (d.has("arrive")) {
    in.control = run_bar_arrive;
    d.need(2);
    in.a = d.value(d.operands[0], B32);
    in.b = d.value(d.operands[1], B32);
  } else if (d.has("red")) {
    d.need(3);
    in.op = d.has("popc") ? COUNT : d.has("and") ? ALL : ANY;
    in.d = d.value(d.operands[0], in.op == COUNT ? U32 : PRED);
    in.a = d.value(d.operands[1], B32);
    if (d.operands.size() > 3) in.b = d.value(d.operands[2], B32);
    in.c = d.predicate(d.operands.back(), in.neg);
  } else {
    d.need(1);
    in.a = d.value(d.operands[0], B32);
    if (d.operands.size() > 1) in.b = d.value(d.operands[1], B32);
  }
}

// ---- of a cluster
Cluster& cluster_of(Warp& w) {
  if (!w.block->cluster) fail("barrier.cluster in a cooperative launch in %s", w.where(0).c_str());
  return *w.block->cluster;
}
Outcome run_cluster_arrive(Warp& w, const Instr& in, u32 mask) {
  if (in.aligned && !gather_warp(w, in, mask)) return CONTINUES;
  Cluster& cluster = cluster_of(w);
  each_lane(mask, [&](int i) {
    if (w.cluster_arrivals[i]++ != w.cluster_waits[i])
      fail("barrier.cluster.arrive without a wait since the last, in %s", w.where(i).c_str());
    cluster.missing--;
  });
  w.current.pc++;
  cluster.complete();
  return CONTINUES;
}
Outcome run_cluster_wait(Warp& w, const Instr& in, u32 mask) {
  if (in.aligned && !gather_warp(w, in, mask)) return CONTINUES;
  Cluster& cluster = cluster_of(w);
  bool over = true;
  each_lane(mask, [&](int i) {
    if (w.cluster_arrivals[i] == w.cluster_waits[i]++)
      fail("barrier.cluster.wait without having arrived, in %s", w.where(i).c_str());
    over = w.cluster_arrivals[i] <= cluster.phase;  // the same for all that arrived together
  });
  if (over) {
    w.current.pc++;
    return CONTINUES;
  }
  return w.park(WAIT_CLUSTER) ? CONTINUES : BLOCKED;
}
template <ControlHandler run>
void decode_cluster(Decoder& d) {
  d.in.kind = K_CONTROL;
  d.in.control = run;
  d.in.aligned = d.has("aligned");
}

const Opcodes opcodes{{"bar", decode_bar, CL_BARRIER},
                      {"barrier", decode_bar, CL_BARRIER},
                      {"barrier.cluster.arrive", decode_cluster<run_cluster_arrive>, CL_BARRIER},
                      {"barrier.cluster.wait", decode_cluster<run_cluster_wait>, CL_BARRIER}};
}  // namespace

void check_barrier(Block& block, int id) {
  Barrier& barrier = block.barriers[id];
  if (!barrier.arrived) return;
  const u32 needed = barrier.expected ? barrier.expected : block.live;
  if (barrier.arrived < needed) return;
  if (barrier.arrived > needed && barrier.expected)
    fail("barrier %d: %u threads arrived, %u expected", id, barrier.arrived, needed);
  block.worker->stats.barriers++;
  const Barrier over = barrier;
  barrier = Barrier();
  if (id == 0 || !block.partial_barrier) block.epoch++;
  each_waiting(block, WAIT_BARRIER, [&](Warp& w, Split& split) {
    if (split.barrier != id) return;
    const Instr& in = split.function->code[split.pc];
    if (in.op != NO_REDUCTION) {
      u8*& frame = w.base[Operand::REGISTER];
      u8* current = frame;
      frame = w.registers.data() + split.register_offset;
      each_lane(split.mask, [&](int i) { w.set(in.d, i, reduced(in.op, over)); });
      frame = current;
    }
    release(split);
  });
}

void Cluster::complete() {
  if (missing || !alive) return;
  phase++;
  missing = alive;
  for (auto& block : blocks) {
    block->epoch++;
    block->failed_polls = 0;
    each_waiting(*block, WAIT_CLUSTER, [](Warp&, Split& split) { release(split); });
  }
}
}  // namespace ptxrun
