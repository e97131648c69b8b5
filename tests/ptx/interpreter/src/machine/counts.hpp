#pragma once

// What statistics count of one access of a warp to memory. Figures follow from the code and its
// addresses, never from time.
#include "machine/machine.hpp"

namespace ptxrun {
// Sectors of 32 bytes, against the fewest that could hold the distinct bytes; size: of a lane.
void count_global(InstrCount& count, const u64* addresses, u32 mask, u32 size);
// Wavefronts: passes over the banks.
void count_shared(InstrCount& count, const u64* addresses, u32 mask, u32 size);
}  // namespace ptxrun
