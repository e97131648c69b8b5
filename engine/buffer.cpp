#include "engine/buffer.hpp"

#include "engine/error.hpp"
#include "engine/runtime.hpp"

namespace pixeldp {

Memory::Memory(Device device, std::size_t bytes) : device_(device) {
  const Runtime& of_device = runtime(device.kind);
  of_device.use(device.index);
  data_ = of_device.allocate(bytes);
  if (data_ || bytes == 0) return;
  fail_out_of_memory(device.name(), bytes, of_device.memory());
}

Memory::~Memory() {
  if (data_) runtime(device_.kind).release(data_);
}

void copy_memory(const Stream& stream, void* to, Device to_device, const void* from,
                 Device from_device, std::size_t bytes) {
  using Direction = Runtime::Direction;
  const auto on_host = [](Device device) { return device.kind == DeviceKind::cpu; };
  if (on_host(to_device) && on_host(from_device))
    return runtime(DeviceKind::cpu).copy(nullptr, to, from, bytes, Direction::within_device);
  const Device device = on_host(to_device) ? from_device : to_device;
  if (device != stream.device())
    fail("a stream of {} cannot copy memory of {}", stream.device().name(), device.name());
  runtime(device.kind)
      .copy(stream.native(), to, from, bytes,
            on_host(to_device)     ? Direction::to_host
            : on_host(from_device) ? Direction::to_device
                                   : Direction::within_device);
}

std::shared_ptr<void> pinned_memory(Device device, std::size_t bytes) {
  const Runtime& of_device = runtime(device.kind);
  of_device.use(device.index);
  void* const memory = of_device.allocate_pinned(bytes);
  if (!memory && bytes > 0)
    fail(
        "out of memory: {:.1f} MiB of host memory that {} can reach were asked for, and there are "
        "not so many; free memory on this machine, or ask for fewer draws at a time",
        static_cast<double>(bytes) / (1 << 20), device.name());
  return {memory, [&of_device](void* owned) { of_device.release_pinned(owned); }};
}

void check_same_size(std::size_t pinned, std::int64_t buffer) {
  if (std::cmp_not_equal(pinned, buffer))
    fail("pinned memory of {} elements for a buffer of {}", pinned, buffer);
}

void upload_async(const Stream& stream, void* to, const void* from_pinned, std::size_t bytes) {
  runtime(stream.device().kind)
      .copy_async(stream.native(), to, from_pinned, bytes, Runtime::Direction::to_device);
}

void download_async(const Stream& stream, void* to_pinned, const void* from, std::size_t bytes) {
  runtime(stream.device().kind)
      .copy_async(stream.native(), to_pinned, from, bytes, Runtime::Direction::to_host);
}

void zero_memory(const Stream& stream, void* memory, std::size_t bytes) {
  runtime(stream.device().kind).zero(stream.native(), memory, bytes);
}

}  // namespace pixeldp
