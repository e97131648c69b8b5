#pragma once

// What bulk copies of bytes and of tensors share. A copy into shared memory lands only when
// somebody polls the mbarrier that it signals, and its destination is poisoned until then; a copy
// out of shared memory reads its source only when it is waited for, or when the thread exits. So a
// missing wait shows as wrong data.
#include "machine/machine.hpp"
#include "text/decoder.hpp"

namespace ptxrun {
// Where the words of cp.async.bulk say that the copy goes; refuses other than from global to
// shared memory, signalling an mbarrier, or back, in a bulk group.
enum Direction { TO_SHARED, FROM_SHARED };
Direction decode_direction(const Decoder& d);

// The offset in shared memory that an operand and its offset name.
u64 shared_operand(Warp& w, const Operand& operand, s32 offset, int lane);

// Starts a copy of so many bytes into the shared memory of a block, at this offset, which signals
// the block's mbarrier: land(block) copies.
void start_copy(Warp& w, Block& to, u64 offset, u64 bytes, u64 mbarrier,
                std::function<void(Block&)> land);
}  // namespace ptxrun
