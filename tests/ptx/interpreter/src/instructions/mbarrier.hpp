#pragma once

// mbarrier objects: 8 bytes of shared memory that count arrivals and bytes of copies.
#include "machine/machine.hpp"

namespace ptxrun {
// The mbarrier at this offset, for reading and writing.
u8* mbarrier_at(Warp& w, u64 offset, int lane);
// Refuses one of another block, for instructions that take none.
void need_own_mbarrier(Warp& w, u64 offset, int lane);
// Adds bytes, takes arrivals away, now or (drop) for all phases, and completes the phase when
// nothing is outstanding.
void update_mbarrier(Warp& w, u64 offset, int lane, s64 bytes, s64 arrivals, s64 drop = 0);
}  // namespace ptxrun
