#include "engine/runtime.hpp"

#include <array>
#include <cstdlib>
#include <cstring>

#include <unistd.h>

#include "engine/error.hpp"

namespace pixeldp {
namespace {

class HostRuntime : public Runtime {
 public:
  std::vector<std::string> devices() const override { return {cpu_model()}; }
  Properties properties(int) const override {
    return {.name = cpu_model(), .memory_bytes = memory().total};
  }
  void use(int) const override {}

  void* create_stream() const override { return nullptr; }
  void destroy_stream(void*) const noexcept override {}
  void synchronize(void*) const override {}

  Memory memory() const override {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    return {page * static_cast<std::size_t>(sysconf(_SC_AVPHYS_PAGES)),
            page * static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES))};
  }
  void* allocate(std::size_t bytes) const override {
    constexpr std::size_t alignment = 64;
    const std::size_t padded = (bytes + alignment) / alignment * alignment;
    void* const result = std::aligned_alloc(alignment, padded);
    if (result) std::memset(result, 0, padded);
    return result;
  }
  void release(void* memory) const noexcept override { std::free(memory); }
  void* allocate_pinned(std::size_t bytes) const override { return allocate(bytes); }
  void release_pinned(void* memory) const noexcept override { release(memory); }
  void copy(void*, void* to, const void* from, std::size_t bytes, Direction) const override {
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
  void copy_async(void* stream, void* to, const void* from, std::size_t bytes,
                  Direction direction) const override {
    copy(stream, to, from, bytes, direction);
  }
  void zero(void*, void* to, std::size_t bytes) const override {
    if (bytes > 0) std::memset(to, 0, bytes);
  }

  void begin_capture(void*) const override { fail("a processor has no graphs"); }
  void* end_capture(void*) const override { fail("a processor has no graphs"); }
  void launch_graph(void*, void*) const override { fail("a processor has no graphs"); }
  void destroy_graph(void*) const noexcept override {}

  void* create_event() const override { fail("a processor has no events"); }
  void destroy_event(void*) const noexcept override {}
  void record_event(void*, void*) const override { fail("a processor has no events"); }
  void wait_for_event(void*) const override { fail("a processor has no events"); }
  void wait_for_event(void*, void*) const override { fail("a processor has no events"); }
  double seconds_between(void*, void*) const override { fail("a processor has no events"); }
};

std::array<const Runtime*, device_kinds>& runtimes() {
  static const HostRuntime host;
  static std::array<const Runtime*, device_kinds> all = {&host, nullptr, nullptr};
  return all;
}

}  // namespace

void fail_out_of_memory(std::string_view device, std::size_t bytes, const Runtime::Memory& memory) {
  constexpr double mib = 1 << 20;
  throw OutOfMemory(fmt::format(
      "out of memory on {}: {:.1f} MiB asked for, {:.1f} of {:.1f} MiB free; use a smaller batch "
      "(training.batch in a configuration, --micro-batch of certify) or, on a processor, certify "
      "--algorithm direct",
      device, static_cast<double>(bytes) / mib, static_cast<double>(memory.free) / mib,
      static_cast<double>(memory.total) / mib));
}

bool has_runtime(DeviceKind kind) { return runtimes()[static_cast<std::size_t>(kind)] != nullptr; }

const Runtime& runtime(DeviceKind kind) {
  if (has_runtime(kind)) return *runtimes()[static_cast<std::size_t>(kind)];
  fail_usage(
      "device {}: this program was built without it; build it anew by 'cmake --preset default'{}, "
      "or "
      "use 'cpu'",
      Device{kind, 0}.name(), kind == DeviceKind::cuda ? " where nvcc is installed" : "");
}

void register_runtime(DeviceKind kind, const Runtime& runtime) {
  runtimes()[static_cast<std::size_t>(kind)] = &runtime;
}

}  // namespace pixeldp
