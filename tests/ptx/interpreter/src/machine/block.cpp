// Blocks: how they and their warps start, take turns, and end.
#include <algorithm>
#include <cstdio>
#include <numeric>

#include "machine/launch.hpp"
#include "program/special_registers.hpp"

namespace ptxrun {
namespace {
// ---- warps
void broadcast(Warp& w, int special_register, u32 value) {
  u32* lanes = (u32*)w.specials.data() + special_register * 32;
  std::fill(lanes, lanes + 32, value);
}
// What depends on the launch and the warp alone.
void set_constant_specials(Warp& w, const Launch& launch) {
  u32* s = (u32*)w.specials.data();
  for (u32 i = 0; i < 32; i++) {
    u32 thread = w.index * 32 + i, bit = 1u << i;
    s[SR_TID_X * 32 + i] = thread % launch.block[0];
    s[SR_TID_Y * 32 + i] = thread / launch.block[0] % launch.block[1];
    s[SR_TID_Z * 32 + i] = thread / launch.block[0] / launch.block[1];
    s[SR_LANE * 32 + i] = i;
    s[SR_MASK_EQ * 32 + i] = bit;
    s[SR_MASK_LT * 32 + i] = bit - 1;
    s[SR_MASK_LE * 32 + i] = (bit - 1) | bit;
    s[SR_MASK_GE * 32 + i] = ~(bit - 1);
    s[SR_MASK_GT * 32 + i] = ~((bit - 1) | bit);
  }
  for (int d = 0; d < 3; d++) {
    broadcast(w, SR_NTID_X + d, launch.block[d]);
    broadcast(w, SR_NCTAID_X + d, launch.grid[d]);
    broadcast(w, SR_CLUSTER_X + d, launch.cluster[d]);
    broadcast(w, SR_NCLUSTER_X + d, launch.grid[d] / launch.cluster[d]);
  }
  broadcast(w, SR_CLUSTER, launch.cluster_blocks());
  broadcast(w, SR_WARP, w.index);
  broadcast(w, SR_NWARP, (launch.threads() + 31) / 32);
  broadcast(w, SR_NSM, 4);
  broadcast(w, SR_DYNAMIC_SHARED, launch.dynamic_shared);
  broadcast(w, SR_TOTAL_SHARED, launch.shared_bytes);
  broadcast(w, SR_ENV1, (u32)(launch.grid_workspace >> 32));
  broadcast(w, SR_ENV2, (u32)launch.grid_workspace);
  broadcast(w, SR_GRID, 0);
}
void set_block_specials(Warp& w, const Launch& launch, const Block& block) {
  for (int d = 0; d < 3; d++) {
    broadcast(w, SR_CTAID_X + d, block.id[d]);
    broadcast(w, SR_RANK_X + d, block.id[d] % launch.cluster[d]);
    broadcast(w, SR_CLUSTERID_X + d, block.id[d] / launch.cluster[d]);
  }
  broadcast(w, SR_RANK, block.rank);
  broadcast(w, SR_SM, block.id[0] % 4);
}
void start_warp(Warp& w, Launch& launch, Block& block, u32 index) {
  w.block = &block;
  w.launch = &launch;
  w.index = index;
  w.counts = block.worker->counts.empty() ? nullptr : block.worker->counts.data();
  w.instrs = w.lane_instrs = 0;
  w.dead = w.yield = false;
  w.copies.clear();
  w.bulk_copies.clear();
  std::fill_n(w.cluster_arrivals, 32, 0);
  std::fill_n(w.cluster_waits, 32, 0);
  w.carry = 0;
  w.since = w.boost = 0;
  w.syncs = 1;
  const size_t registers = launch.kernel->frame + 64 + 4096;
  if (w.registers.size() < registers) w.registers.resize(registers);
  w.local.resize((size_t)32 * launch.local_bytes);
  if (launch.options.poison) memset(w.local.data(), 0xff, w.local.size());
  if (w.specials.empty()) {  // once per worker
    w.specials.resize((SR_STORED + 3) * special_bytes);
    set_constant_specials(w, launch);
  }
  set_block_specials(w, launch, block);
  w.base[Operand::CONSTANT] = launch.module->pool.data();
  w.base[Operand::SPECIAL] = w.specials.data();
  w.base[Operand::ABSENT] = nullptr;
  u32 left = launch.threads() - index * 32;
  w.live = left >= 32 ? ~0u : (1u << left) - 1;
  w.current = Split();
  w.current.function = launch.kernel;
  w.current.mask = w.live;
  w.use_frame();
  w.others.clear();
  w.lowest = ~0ull;
}

// ---- blocks
// Whose cluster and rank are set. index: of the cluster, or, where clusters have one block, of
// that.
void start_block(Block& block, Launch& launch, Worker& worker, u64 index) {
  block.launch = &launch;
  block.worker = &worker;
  u64 outside = index, inside = block.rank;
  for (int d = 0; d < 3; d++) {
    u32 clusters = launch.grid[d] / launch.cluster[d];
    block.id[d] = (u32)(outside % clusters * launch.cluster[d] + inside % launch.cluster[d]);
    outside /= clusters;
    inside /= launch.cluster[d];
  }
  block.shared.assign(launch.shared_bytes, launch.options.poison ? 0xff : 0);
  if (launch.options.racecheck) block.shadow.assign(launch.shared_bytes, Shadow());
  block.live = launch.threads();
  block.epoch = 1;
  block.done = block.partial_barrier = false;
  block.pending.clear();
  block.failed_polls = 0;
  std::fill(std::begin(block.barriers), std::end(block.barriers), Barrier());
  if (launch.options.shuffle && !block.rank)
    worker.rng.seed((u32)launch.options.shuffle * 2654435761u + (u32)index);
  block.warps.resize((launch.threads() + 31) / 32);
  for (u32 i = 0; i < block.warps.size(); i++) {
    if (!block.warps[i]) block.warps[i] = std::make_unique<Warp>();
    start_warp(*block.warps[i], launch, block, i);
  }
}

void finish_block(Block& block) {
  for (auto& copy : block.pending)
    if (copy.by_peer)
      fail("block (%u,%u,%u) of kernel %s has exited while a copy by a peer was under way to it",
           block.id[0], block.id[1], block.id[2], block.launch->kernel->name.c_str());
  for (auto& w : block.warps) {
    block.worker->stats.warp_instrs += w->instrs;
    block.worker->stats.thread_instrs += w->lane_instrs;
  }
}

// Gives every warp a turn; true if some warp made progress.
bool step_block(Block& block, Launch& launch, u64 quantum) {
  bool progress = false;
  u32 dead = 0, order[32];
  const u32 n = (u32)block.warps.size();
  std::iota(order, order + n, 0u);
  std::mt19937& rng = block.worker->rng;
  if (launch.options.shuffle) std::shuffle(order, order + n, rng);
  for (u32 j = 0; j < n; j++) {
    Warp& w = *block.warps[order[j]];
    if (!w.dead) {
      u64 before = w.instrs;
      u64 turn = launch.options.shuffle ? 1 + rng() % std::min<u64>(quantum, 500) : quantum;
      if (w.run(turn) == RUN_DONE) w.dead = true;
      progress |= w.instrs != before;
    }
    dead += w.dead;
  }
  if (dead == n) {
    block.done = progress = true;
    finish_block(block);
  }
  return progress;
}

[[noreturn]] void deadlock(const Block& block) {
  char text[300];
  snprintf(text, sizeof text, "deadlock: no warp of block (%u,%u,%u) can make progress in kernel ",
           block.id[0], block.id[1], block.id[2]);
  string message = text + block.launch->kernel->name + ";";
  for (auto& w : block.warps)
    for (auto& split : w->others) {
      if (w->dead || message.size() > 1200) break;
      string whom = split.state == WAIT_CLUSTER   ? "at barrier.cluster"
                    : split.state == WAIT_BARRIER ? "at barrier " + std::to_string(split.barrier)
                                                  : "for other lanes";
      snprintf(text, sizeof text, " warp %u lanes %08x wait %s, PTX line %d;", w->index, split.mask,
               whom.c_str(), split.function->code[split.pc].line);
      message += text;
    }
  throw Failure{message};
}
}  // namespace

void run_cluster(Cluster& cluster, Launch& launch, Worker& worker, u64 index) {
  const u32 n = launch.cluster_blocks();
  cluster.phase = cluster.alive = 0;
  while (cluster.blocks.size() < n) {
    auto& block = cluster.blocks.emplace_back(std::make_unique<Block>());
    block->cluster = &cluster;
    block->rank = (u32)cluster.blocks.size() - 1;
  }
  for (auto& block : cluster.blocks) {
    start_block(*block, launch, worker, index);
    cluster.alive += block->live;
  }
  cluster.missing = cluster.alive;
  vector<u32> order(n);
  std::iota(order.begin(), order.end(), 0u);
  for (u32 left = n; left && !launch.stop;) {
    bool progress = false;
    if (launch.options.shuffle && n > 1) std::shuffle(order.begin(), order.end(), worker.rng);
    for (u32 i : order) {
      Block& block = *cluster.blocks[i];
      if (block.done) continue;
      progress |= step_block(block, launch, n > 1 ? 20000 : 1000000);
      if (!block.done) continue;
      if (n > 1 && launch.options.poison) std::fill(block.shared.begin(), block.shared.end(), 0xff);
      left--;
    }
    if (!progress)
      for (auto& block : cluster.blocks)
        if (!block->done) deadlock(*block);
  }
}

void run_cooperative(Launch& launch, Worker& worker, u64 n) {
  vector<std::unique_ptr<Block>> blocks;
  for (u64 i = 0; i < n; i++)
    start_block(*blocks.emplace_back(std::make_unique<Block>()), launch, worker, i);
  if (launch.options.shuffle) worker.rng.seed(launch.options.shuffle);
  for (u64 left = n; left;) {
    bool progress = false;
    for (auto& block : blocks) {
      if (block->done) continue;
      progress |= step_block(*block, launch, 20000);
      left -= block->done;
    }
    if (!progress)
      for (auto& block : blocks)
        if (!block->done) deadlock(*block);
  }
}
}  // namespace ptxrun
