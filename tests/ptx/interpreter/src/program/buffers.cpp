#include "program/buffers.hpp"

#include <cstdlib>
#include <map>
#include <mutex>
#include <shared_mutex>

#include "ptxrun.h"

namespace ptxrun {
namespace {
struct Entry {
  u64 bytes;
  string name;
  bool owned;
};
std::map<u64, Entry> buffers;
std::shared_mutex mutex;
u64 live_bytes = 0, live_buffers = 0;  // of those that are owned
}  // namespace

std::atomic<u64> buffer_generation{1};

void add_buffer(void* memory, size_t bytes, const char* name, bool owned) {
  std::unique_lock lock(mutex);
  buffers[(u64)memory] = {bytes, name ? name : "", owned};
  if (owned) live_bytes += bytes, live_buffers++;
  buffer_generation++;
}

bool remove_buffer(void* memory, bool release) {
  bool owned;
  {
    std::unique_lock lock(mutex);
    auto it = buffers.find((u64)memory);
    if (it == buffers.end()) return false;
    owned = it->second.owned;
    if (owned) live_bytes -= it->second.bytes, live_buffers--;
    buffers.erase(it);
    buffer_generation++;
  }
  if (owned && release) free(memory);
  return true;
}

bool find_buffer(u64 address, Buffer& found) {
  std::shared_lock lock(mutex);
  auto it = buffers.upper_bound(address);
  if (it == buffers.begin()) return false;
  --it;
  found = {it->first, it->second.bytes};
  return true;
}

string buffer_name(u64 base) {
  std::shared_lock lock(mutex);
  auto it = buffers.find(base);
  return it == buffers.end() ? "" : it->second.name;
}
}  // namespace ptxrun

using namespace ptxrun;
extern "C" void* ptx_malloc(size_t n) {
  if (!n) n = 1;
  void* memory = aligned_alloc(256, round_up(n, 256) + 256);
  if (!memory) return memory;
  ptx_opts options;
  ptx_default_opts(&options);
  memset(memory, options.poison ? 0xff : 0, n);
  add_buffer(memory, n, "cudaMalloc", true);
  return memory;
}
extern "C" int ptx_free(void* p) { return remove_buffer(p, true) ? 0 : 1; }
extern "C" void ptx_register(void* p, size_t n, const char* name) { add_buffer(p, n, name, false); }
extern "C" void ptx_unregister(void* p) { remove_buffer(p, false); }
extern "C" int ptx_find_buffer(const void* p, void** base, size_t* size) {
  Buffer found;
  if (!find_buffer((u64)p, found) || (u64)p >= found.base + found.bytes) return 0;
  if (base) *base = (void*)found.base;
  if (size) *size = found.bytes;
  return 1;
}
extern "C" size_t ptx_live_bytes(void) { return live_bytes; }
extern "C" size_t ptx_live_buffers(void) { return live_buffers; }
