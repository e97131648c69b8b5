#pragma once

// What loads, stores and atomics share: the addresses of all lanes, counted and checked at once.
#include <algorithm>

#include "machine/counts.hpp"
#include "machine/machine.hpp"

namespace ptxrun {
// Of one access of a warp.
struct LaneAddresses {
  u64 of[32];
  LaneAddresses(Warp& w, const Instr& in, u32 mask);
  // True: every lane's n bytes are aligned and inside one known buffer, or the block's shared
  // memory; base + of[i] is the host address.
  bool all_valid(Warp& w, const Instr& in, u32 mask, u32 n, u64& base) const;
  void count(Warp& w, const Instr& in, u32 mask, u32 n) const;  // n bytes of each lane
};

// The block of the warp's cluster whose shared memory holds the host address, or null.
inline Block* block_around(Warp& w, const u8* p) {
  auto holds = [p](Block& b) {
    return p >= b.shared.data() && p < b.shared.data() + b.shared.size();
  };
  if (holds(*w.block)) return w.block;
  if (w.block->cluster)
    for (auto& b : w.block->cluster->blocks)
      if (holds(*b)) return b.get();
  return nullptr;
}

inline LaneAddresses::LaneAddresses(Warp& w, const Instr& in, u32 mask) {
  if (in.a.present() && in.space != SP_LPARAM && mask == ~0u) {
    const u64 offset = in.imm;
    if (in.a.bytes == 4) {
      const u32* a = w.lanes<u32>(in.a);
      if (in.space == SP_SHARED)
        for (int i = 0; i < 32; i++) of[i] = a[i] + (u32)offset;
      else
        for (int i = 0; i < 32; i++) of[i] = a[i] + offset;
    } else {
      const u64* a = w.lanes<u64>(in.a);
      for (int i = 0; i < 32; i++) of[i] = a[i] + offset;
    }
    return;
  }
  each_lane(mask, [&](int i) { of[i] = address_of(w, in, i); });
}

inline bool LaneAddresses::all_valid(Warp& w, const Instr& in, u32 mask, u32 n, u64& base) const {
  u64 low = ~0ull, high = 0, any = 0;
  auto take = [&](int i) {
    low = std::min(low, of[i]);
    high = std::max(high, of[i]);
    any |= of[i];
  };
  if (mask == ~0u)
    for (int i = 0; i < 32; i++) take(i);
  else
    each_lane(mask, take);
  if (any & (n - 1)) return false;
  if (high + n < high) return false;
  bool generic = in.space == SP_GEN;
  if (in.space == SP_SHARED || (generic && low >= shared_window && high < local_window)) {
    u64 window = low >= shared_window ? shared_window : 0;
    base = (u64)w.block->shared.data() - window;
    return !w.launch->options.racecheck && high + n - window <= w.block->shared.size();
  }
  base = 0;
  bool global = in.space == SP_GLOBAL || in.space == SP_CONST || (generic && high < shared_window);
  return global && w.cached(low, high + n);
}

inline void LaneAddresses::count(Warp& w, const Instr& in, u32 mask, u32 n) const {
  if (!w.counts) return;
  InstrCount& c = w.counts[in.id];
  u64 first = of[first_lane(mask)];
  if (in.space == SP_SHARED || in_shared_window(first))
    count_shared(c, of, mask, n);
  else if (in.space == SP_GLOBAL || (in.space == SP_GEN && first < shared_window))
    count_global(c, of, mask, n);
}
}  // namespace ptxrun
