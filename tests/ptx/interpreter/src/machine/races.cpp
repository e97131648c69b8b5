// Races in shared memory: two accesses of a byte, one a write, with no barrier between them.
#include <cstdio>

#include "machine/machine.hpp"

namespace ptxrun {
void Warp::check_race(Block& owner, u64 a, u32 n, int lane, bool write) {
  if (owner.partial_barrier) return;
  bool inside_warps = launch->options.racecheck > 1;
  const u16 me = (u16)(index | block->rank << 5);  // told apart in the whole cluster
  for (u32 j = 0; j < n; j++) {
    Shadow& s = owner.shadow[a + j];
    // Null, or how the earlier access collides with this one.
    auto collides = [&](const Shadow::Access& earlier, const char* warps, const char* lanes) {
      if (earlier.epoch != owner.epoch) return (const char*)nullptr;
      if (earlier.warp != me) return warps;
      return inside_warps && earlier.lane != lane && earlier.sync == syncs &&
                     earlier.instr != (u32)instrs
                 ? lanes
                 : nullptr;
    };
    const char* what = write
                           ? collides(s.write, "WRITE after WRITE", "intra-warp WRITE after WRITE")
                           : collides(s.write, "READ after WRITE", "intra-warp READ after WRITE");
    if (!what && write) what = collides(s.read, "WRITE after READ", "intra-warp WRITE after READ");
    if (what) {
      block->worker->stats.races++;
      int most = launch->options.max_reports ? launch->options.max_reports : 10;
      const Shadow::Access& earlier = write && s.write.epoch != owner.epoch ? s.read : s.write;
      if (launch->reports++ < most)
        fprintf(stderr,
                "RACE %s: shared byte 0x%llx, no barrier since access by warp %u lane %u; now %s\n",
                what, (unsigned long long)(a + j), earlier.warp, earlier.lane, where(lane).c_str());
    }
    Shadow::Access now{owner.epoch, me, (u8)lane, syncs, (u32)instrs};
    if (write) {
      s.write = now;
    } else {
      if (s.read.epoch == owner.epoch && s.read.warp != me) now.warp = 0xfffe;
      s.read = now;
    }
    if (what) break;
  }
}
}  // namespace ptxrun
