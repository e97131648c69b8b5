#pragma once

// Device memory that kernels may touch: buffers of ptx_malloc and ptx_register, and the variables
// of modules.
#include <atomic>

#include "program/types.hpp"

namespace ptxrun {
struct Buffer {
  u64 base, bytes;
};
// owned: by ptx_malloc.
void add_buffer(void* memory, size_t bytes, const char* name, bool owned);
// False: it is no start of a buffer. release: an owned one is freed.
bool remove_buffer(void* memory, bool release);
// The last buffer that starts at or below the address. False: there is none.
bool find_buffer(u64 address, Buffer& found);
string buffer_name(u64 base);
// Grows with each buffer that comes or goes.
extern std::atomic<u64> buffer_generation;
}  // namespace ptxrun
