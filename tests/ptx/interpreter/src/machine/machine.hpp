#pragma once

// What runs: a launch, its workers (one per host thread), blocks, warps.
#include <deque>
#include <functional>
#include <memory>
#include <random>

#include "program/buffers.hpp"
#include "program/numeric.hpp"
#include "program/program.hpp"
#include "ptxrun.h"

namespace ptxrun {
struct InstrCount {  // per instruction, summed over warps
  u64 warps = 0, lanes = 0;
  u64 bytes = 0, shared_bytes = 0;     // global and shared bytes, all lanes
  u64 sectors = 0, ideal_sectors = 0;  // of 32 bytes, of global accesses
  u64 waves = 0, ideal_waves = 0;      // wavefronts of shared memory
  u64 divergent = 0;
  void add(const InstrCount& other);
};

struct LaneCopy {  // one lane's cp.async, delivered when waited for
  u64 to;          // shared offset
  const u8* from;
  u8 bytes, read;  // the rest is zeros
};
// What each lane has begun and not waited for, in groups.
template <class T>
class LaneGroups {
 public:
  void add(int lane, T begun) {
    open_[lane].push_back(std::move(begun));
    any_ = true;
  }
  void commit(int lane) {
    committed_[lane].push_back(std::move(open_[lane]));
    open_[lane].clear();
    any_ = true;
  }
  // Calls f for what is in committed groups, but for the last so many.
  template <class F>
  void finish(int lane, size_t keep, F f) {
    auto& groups = committed_[lane];
    for (; groups.size() > keep; groups.pop_front())
      for (auto& begun : groups.front()) f(begun);
  }
  vector<T> take_all(int lane) {
    vector<T> all;
    commit(lane);
    finish(lane, 0, [&](T& begun) { all.push_back(std::move(begun)); });
    return all;
  }
  bool any() const { return any_; }
  void clear(int lane) {
    if (!any_) return;
    open_[lane].clear();
    committed_[lane].clear();
  }
  void clear() {
    for (int lane = 0; lane < 32; lane++) clear(lane);
    any_ = false;
  }

 private:
  vector<T> open_[32];
  std::deque<vector<T>> committed_[32];
  bool any_ = false;
};
struct Frame {
  Function* function;
  u32 return_to, register_offset, local_offset;
  const Instr* call;
};
enum SplitState : u8 { RUNNING, WAIT_CONVERGE, WAIT_BARRIER, WAIT_CLUSTER };
struct Split {  // lanes of a warp that share a program counter and call stack
  u32 pc = 0, mask = 0;
  Function* function = nullptr;
  u32 register_offset = 0, local_offset = 0;
  vector<Frame> frames;
  u8 state = RUNNING, barrier = 0;
};
struct Barrier {
  u32 arrived = 0, expected = 0;
  u32 all = 1, any = 0, count = 0;  // of the predicates of bar.red
};
// Last writer and readers of one shared byte, for race checks.
struct Shadow {
  struct Access {
    u32 epoch = 0;      // of the block
    u16 warp = 0xffff;  // several readers: 0xfffe
    u8 lane = 0;
    u32 sync = 0;   // of the warp
    u32 instr = 0;  // of the warp
  } write, read;
};

struct Launch {
  ptx_module* module;
  Function* kernel;
  u32 grid[3], block[3], cluster[3];
  u32 dynamic_shared;
  vector<u8> params;
  ptx_opts options;
  u32 local_bytes, shared_bytes;  // of a thread, of a block
  u64 grid_workspace = 0;         // of cooperative launches
  bool parallel = false;          // several host threads: global atomics use host atomics
  std::atomic<int> reports{0};
  std::atomic<bool> stop{false};
  u32 threads() const { return block[0] * block[1] * block[2]; }  // of a block
  u32 cluster_blocks() const { return cluster[0] * cluster[1] * cluster[2]; }
};

struct Worker {
  Launch* launch;
  ptx_stats stats{};
  std::mt19937 rng;
  vector<InstrCount> counts;
};

struct PendingCopy {  // lands when its mbarrier is polled
  u64 mbarrier;
  std::function<void(Warp&)> land;
  bool by_peer = false;
};

struct Cluster;
struct Block {
  Launch* launch;
  Worker* worker;
  Cluster* cluster = nullptr;  // null in cooperative launches
  u32 rank = 0;
  u32 id[3];
  vector<u8> shared;
  vector<Shadow> shadow;
  u32 epoch = 1;
  vector<std::unique_ptr<Warp>> warps;
  Barrier barriers[16];
  u32 live = 0;
  bool done = false;
  vector<PendingCopy> pending;
  u64 failed_polls = 0;          // of mbarriers since anything changed
  bool partial_barrier = false;  // a named or partial one was seen: race checks are off
};

// The blocks of a cluster, run together by one worker, and their barrier: phases that are over,
// threads that have not exited, and those that have not arrived in this phase.
struct Cluster {
  vector<std::unique_ptr<Block>> blocks;
  u32 phase = 0, alive = 0, missing = 0;
  void complete();  // instructions/barrier.cpp
};

enum RunResult { RUN_DONE, RUN_BLOCKED, RUN_QUANTUM };
// Race checks see reads and writes; who checks by himself, or may collide, says atomic.
enum Access : u8 { READ, WRITE, ATOMIC };

struct Warp {
  u8* base[4];  // of the areas of an operand
  vector<u8> registers, specials, local;
  Block* block;
  Launch* launch;
  InstrCount* counts = nullptr;  // null when statistics are off
  u32 index;                     // in the block
  u32 live;
  Split current;
  vector<Split> others;
  u64 lowest = ~0ull;  // order() of the first of the others that could run
  u32 carry = 0;       // flag, one bit per lane
  u64 instrs = 0, lane_instrs = 0;
  u32 since = 0, boost = 0;  // instructions since another split had a turn; of that turn
  u32 syncs = 1;
  bool dead = false;
  struct Range {
    u64 low = 1, high = 0;
  } cache[4];  // buffers found lately
  u32 cache_next = 0;
  u64 cache_generation = 0;
  LaneGroups<LaneCopy> copies;                         // of cp.async
  LaneGroups<std::function<void(Warp&)>> bulk_copies;  // out of shared memory
  bool yield = false;                                  // others have a turn after this instruction
  u32 cluster_arrivals[32], cluster_waits[32];         // at the cluster's barrier

  // The 32 values of an operand that is no predicate.
  template <class T>
  T* lanes(const Operand& o) {
    return (T*)(base[o.area] + o.offset);
  }
  u32& mask(const Operand& predicate) { return *lanes<u32>(predicate); }
  void set_mask(const Operand& predicate, u32 lanes_of_instr, u32 bits) {
    u32& m = mask(predicate);
    m = (m & ~lanes_of_instr) | (bits & lanes_of_instr);
  }
  u64 get(const Operand& o, int lane);
  u64 get_or_zero(const Operand& o, int lane) { return o.present() ? get(o, lane) : 0; }
  void set(const Operand& o, int lane, u64 v);
  const Operand* list(u32 first) const { return current.function->lists.data() + first; }
  // What the frame holds of local memory: variables, parameters of functions.
  u8* frame_memory(int lane) {
    return local.data() + (size_t)lane * launch->local_bytes + current.local_offset;
  }
  string where(int lane);  // for messages

  bool cached(u64 low, u64 high);  // in a buffer that was found lately
  // machine/addresses.cpp: host pointers of n bytes for one lane. What they refuse, they call what.
  u8* global_ptr(u64 a, u32 n, int lane, const char* what);
  void check_global(u64 a, u64 n, int lane, const char* what);  // lies in one buffer
  u8* shared_ptr(u64 a, u32 n, int lane, const char* what, Access access);
  u8* local_ptr(u64 a, u32 n, int lane, const char* what);
  u8* memory(u8 space, u64 a, u32 n, int lane, const char* what, Access access);
  // The block whose shared memory offset a means; a becomes an offset in that.
  Block& shared_owner(u64& a, int lane, const char* what);
  void check_race(Block& owner, u64 a, u32 n, int lane, bool write);  // machine/races.cpp

  // machine/scheduler.cpp: divergence. The split of lowest order runs first.
  u64 order(const Split& s) const { return (u64)(0xffff - s.frames.size()) << 32 | s.pc; }
  void use_frame() { base[Operand::REGISTER] = registers.data() + current.register_offset; }
  void find_lowest();
  void merge_same();                   // splits that have come to where the current one is
  bool pick();                         // another split; false: none can run
  bool park(SplitState state);         // the current split waits, another runs; false: none can
  void split_off(u32 mask, u32 pc);    // lanes of the current split that go elsewhere
  u32 guarded(const Instr& in) const;  // lanes of the current split that run the instruction
  RunResult run(u64 quantum);

 private:
  void be_fair();
  bool run_together(const Instr& in, u32 mask);
};

inline u64 Warp::get(const Operand& o, int lane) {
  switch (o.bytes) {
    case 0:
      return (*lanes<u32>(o) >> lane) & 1;
    case 2:
      return lanes<u16>(o)[lane];
    case 4:
      return lanes<u32>(o)[lane];
    case 8:
      return lanes<u64>(o)[lane];
  }
  return 0;
}
inline void Warp::set(const Operand& o, int lane, u64 v) {
  if (!o.present()) return;
  switch (o.bytes) {
    case 0:
      set_mask(o, 1u << lane, (u32)(v & 1) << lane);
      break;
    case 2:
      lanes<u16>(o)[lane] = (u16)v;
      break;
    case 4:
      lanes<u32>(o)[lane] = (u32)v;
      break;
    case 8:
      lanes<u64>(o)[lane] = v;
      break;
  }
}
inline u32 Warp::guarded(const Instr& in) const {
  if (in.guard < 0) return current.mask;
  u32 bits = *(const u32*)(base[Operand::REGISTER] + in.guard);
  return current.mask & (in.guard_negated ? ~bits : bits);
}
inline bool Warp::cached(u64 low, u64 high) {
  if (cache_generation != buffer_generation.load(std::memory_order_relaxed)) return false;
  for (auto& range : cache)
    if (low >= range.low && high <= range.high) return true;
  return false;
}
// Address of a memory operand for one lane.
inline u64 address_of(Warp& w, const Instr& in, int lane) {
  u64 a = in.imm;
  if (in.a.present()) a += in.a.bytes == 4 ? w.lanes<u32>(in.a)[lane] : w.lanes<u64>(in.a)[lane];
  if (in.space == SP_LPARAM)
    a += w.current.local_offset;
  else if (in.space == SP_SHARED && in.a.bytes == 4)
    a = (u32)a;
  return a;
}
inline bool in_shared_window(u64 a) { return a >= shared_window && a < local_window; }
// Of a shared or generic address.
inline u64 shared_offset(u64 a) { return in_shared_window(a) ? a - shared_window : a; }

// Runs a statement for each lane i of mask m; the form for all lanes vectorises.
#define FOR_LANES(m, ...)                                                \
  do {                                                                   \
    if ((m) == ~0u) {                                                    \
      _Pragma("GCC ivdep") for (int i = 0; i < 32; i++) { __VA_ARGS__; } \
    } else                                                               \
      for (u32 m_ = (m); m_; m_ &= m_ - 1) {                             \
        int i = __builtin_ctz(m_);                                       \
        __VA_ARGS__;                                                     \
      }                                                                  \
  } while (0)
// Calls f(lane) for the lanes of a mask, from the first on.
template <class F>
void each_lane(u32 mask, F f) {
  for (; mask; mask &= mask - 1) f(__builtin_ctz(mask));
}
inline int first_lane(u32 mask) { return __builtin_ctz(mask); }
inline void need_whole_warp(Warp& w, u32 mask, const char* what) {
  if (mask != ~0u) fail("%s with a partial warp in %s", what, w.where(first_lane(mask)).c_str());
}

// Releases those who wait when all have arrived; instructions/barrier.cpp.
void check_barrier(Block& block, int id);
}  // namespace ptxrun
