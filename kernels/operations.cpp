#include "kernels/operations.hpp"

#include <array>

#include "engine/error.hpp"
#include "kernels/cpu/operations.hpp"

namespace pixeldp::kernels {
namespace {

std::array<const Operations*, device_kinds>& tables() {
  static std::array<const Operations*, device_kinds> all = {&cpu::operations(), nullptr, nullptr};
  return all;
}

}  // namespace

const Operations& operations(const Stream& stream) {
  const Device device = stream.device();
  if (const Operations* const table = tables()[static_cast<std::size_t>(device.kind)])
    return *table;
  fail_usage("device {}: this program was built without its operations; use 'cpu'", device.name());
}

void register_operations(DeviceKind kind, const Operations& operations) {
  tables()[static_cast<std::size_t>(kind)] = &operations;
}

}  // namespace pixeldp::kernels
