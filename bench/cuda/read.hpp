#pragma once

#include <cstdint>

namespace pixeldp::bench {

/// Reads `count` floats `passes` times, past the L1 caches, on so many blocks; count is a multiple
/// of 4. *sum gets something that depends on all of them, for some values of it. `stream` is a
/// cudaStream_t, of the emulator in the second case.

namespace cuda {
void read_repeatedly(void* stream, int blocks, const float* data, std::int64_t count, int passes,
                     float* sum);
}

namespace emulated {
void read_repeatedly(void* stream, int blocks, const float* data, std::int64_t count, int passes,
                     float* sum);
}

}  // namespace pixeldp::bench
