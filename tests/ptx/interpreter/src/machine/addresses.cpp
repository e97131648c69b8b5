// Checked translation of the addresses that threads use to pointers of the host.
#include "machine/machine.hpp"

namespace ptxrun {
u8* Warp::global_ptr(u64 a, u32 n, int lane, const char* what) {
  if (!cached(a, a + n)) {
    if (launch->options.nocheck) return (u8*)a;
    u64 generation = buffer_generation;
    Buffer buffer;
    if (!find_buffer(a, buffer))
      fail("invalid global %s of %u bytes at 0x%llx in %s", what, n, (unsigned long long)a,
           where(lane).c_str());
    if (a + n > buffer.base + buffer.bytes)
      fail(
          "invalid global %s of %u bytes at 0x%llx (nearest lower buffer '%s' [0x%llx,+%llu), "
          "offset %lld) in %s",
          what, n, (unsigned long long)a, buffer_name(buffer.base).c_str(),
          (unsigned long long)buffer.base, (unsigned long long)buffer.bytes,
          (long long)(a - buffer.base), where(lane).c_str());
    if (cache_generation != generation) {
      for (auto& range : cache) range = Range();
      cache_generation = generation;
    }
    cache[cache_next++ & 3] = {buffer.base, buffer.base + buffer.bytes};
  }
  if (a & (n - 1))
    fail("misaligned global %s of %u bytes at 0x%llx in %s", what, n, (unsigned long long)a,
         where(lane).c_str());
  return (u8*)a;
}

void Warp::check_global(u64 a, u64 n, int lane, const char* what) {
  if (cached(a, a + n)) return;
  global_ptr(a, 1, lane, what);
  global_ptr(a + n - 1, 1, lane, what);
  if (!cached(a, a + n) && !launch->options.nocheck)
    fail("%s runs over the end of a buffer in %s", what, where(lane).c_str());
}

Block& Warp::shared_owner(u64& a, int lane, const char* what) {
  u32 tag = (u32)(a >> rank_shift);
  if (!tag) return *block;
  a &= (1ull << rank_shift) - 1;
  if (!block->cluster || a + ((u64)tag << rank_shift) > 0xffffffffull ||
      tag > block->cluster->blocks.size())
    fail("invalid shared %s: no block has the address, in %s", what, where(lane).c_str());
  Block& owner = *block->cluster->blocks[tag - 1];
  if (&owner == block) return owner;
  if (owner.done)
    fail("%s in the memory of block %u of the cluster, which has exited, in %s", what, owner.rank,
         where(lane).c_str());
  if (!block->cluster->phase)
    fail(
        "%s in the memory of block %u of the cluster before a barrier.cluster, so that may not "
        "run yet, in %s",
        what, owner.rank, where(lane).c_str());
  return owner;
}

u8* Warp::shared_ptr(u64 a, u32 n, int lane, const char* what, Access access) {
  Block& owner = shared_owner(a, lane, what);
  if (a + n > owner.shared.size() || a + n < a)
    fail("invalid shared %s of %u bytes at offset 0x%llx (block has %zu bytes) in %s", what, n,
         (unsigned long long)a, owner.shared.size(), where(lane).c_str());
  if (a & (n - 1))
    fail("misaligned shared %s of %u bytes at offset 0x%llx in %s", what, n, (unsigned long long)a,
         where(lane).c_str());
  if (launch->options.racecheck && access != ATOMIC) check_race(owner, a, n, lane, access == WRITE);
  return owner.shared.data() + a;
}

u8* Warp::local_ptr(u64 a, u32 n, int lane, const char* what) {
  if (a + n > launch->local_bytes || a + n < a)
    fail("invalid local %s of %u bytes at 0x%llx in %s", what, n, (unsigned long long)a,
         where(lane).c_str());
  return local.data() + (size_t)lane * launch->local_bytes + a;
}

u8* Warp::memory(u8 space, u64 a, u32 n, int lane, const char* what, Access access) {
  switch (space) {
    case SP_GLOBAL:
    case SP_CONST:
      return global_ptr(a, n, lane, what);
    case SP_SHARED:
      return shared_ptr(shared_offset(a), n, lane, what, access);
    case SP_LOCAL:
    case SP_LPARAM:
      return local_ptr(a >= local_window ? a - local_window : a, n, lane, what);
    case SP_PARAM:  // or generic
      break;
  }
  u64 params = (u64)launch->params.data();
  if (a >= params && a + n <= params + launch->params.size()) return (u8*)a;
  if (in_shared_window(a)) return shared_ptr(a - shared_window, n, lane, what, access);
  if (a >= local_window && a < local_window + (1ull << 32))
    return local_ptr(a - local_window, n, lane, what);
  return global_ptr(a, n, lane, what);
}
}  // namespace ptxrun
