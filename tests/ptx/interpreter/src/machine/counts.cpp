#include "machine/counts.hpp"

#include <algorithm>

namespace ptxrun {
void InstrCount::add(const InstrCount& other) {
  warps += other.warps;
  lanes += other.lanes;
  bytes += other.bytes;
  shared_bytes += other.shared_bytes;
  sectors += other.sectors;
  ideal_sectors += other.ideal_sectors;
  waves += other.waves;
  ideal_waves += other.ideal_waves;
  divergent += other.divergent;
}

void count_global(InstrCount& count, const u64* addresses, u32 mask, u32 size) {
  u64 from[32];
  int n = 0;
  each_lane(mask, [&](int i) { from[n++] = addresses[i]; });
  count.bytes += (u64)n * size;
  if (!std::is_sorted(from, from + n)) std::sort(from, from + n);
  u64 distinct = 0, sectors = 0, covered = 0, last_sector = ~0ull;
  for (int i = 0; i < n; i++) {
    u64 low = std::max(from[i], covered), high = from[i] + size;
    if (high > low) {
      distinct += high - low;
      covered = high;
    }
    for (u64 s = from[i] >> 5; s <= (high - 1) >> 5; s++)
      if (last_sector == ~0ull || s > last_sector) {
        sectors++;
        last_sector = s;
      }
  }
  count.sectors += sectors;
  count.ideal_sectors += (distinct + 31) / 32;
}

// Of 32 banks of 4 bytes. Accesses of 8 bytes go in two halves of a warp, those of 16 bytes in four
// quarters; within a part, lanes that use the same 4-byte word share it, and the fullest bank sets
// the number of wavefronts. The ideal is one per part.
void count_shared(InstrCount& count, const u64* addresses, u32 mask, u32 size) {
  u32 group = size <= 4 ? 32 : size == 8 ? 16 : size == 16 ? 8 : 4;
  count.shared_bytes += (u64)__builtin_popcount(mask) * size;
  for (u32 g = 0; g < 32; g += group) {
    u64 words[32];
    int n = 0;
    for (u32 i = g; i < g + group; i++) {
      if (!((mask >> i) & 1)) continue;
      for (u64 w = addresses[i] >> 2; w <= (addresses[i] + size - 1) >> 2 && n < 32; w++)
        words[n++] = w;
    }
    if (!n) continue;
    if (!std::is_sorted(words, words + n)) std::sort(words, words + n);
    u8 bank[32] = {}, most = 0;
    for (int i = 0; i < n; i++)
      if (!i || words[i] != words[i - 1]) most = std::max(most, ++bank[words[i] & 31]);
    count.waves += most;
    count.ideal_waves++;
  }
}
}  // namespace ptxrun
