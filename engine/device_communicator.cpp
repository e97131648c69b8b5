#include "engine/device_communicator.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>

#include "engine/error.hpp"
#include "engine/notice.hpp"

namespace pixeldp {
namespace {

std::array<const DeviceCommunicators*, device_kinds>& makers() {
  static std::array<const DeviceCommunicators*, device_kinds> all = {};
  return all;
}

/// Whether ranks are to talk through host memory whatever their devices can do.
bool by_host_memory() {
  const char* const text = std::getenv("PIXELDP_COLLECTIVES");
  if (!text) return false;
  const std::string_view path = text;
  if (path != "host" && path != "device")
    fail_usage("PIXELDP_COLLECTIVES is '{}': 'device' or 'host'", text);
  return path == "host";
}

/// Another one after each start of each machine.
std::string this_machine() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

/// Why this rank does without, or nothing.
std::string why_not(const DeviceCommunicators* maker) {
  if (by_host_memory()) return "PIXELDP_COLLECTIVES is 'host'";
  return maker ? maker->missing() : "this program was built without collectives of its devices";
}

/// Which rank does without, and why; nothing where all can.
std::string why_not(Device device, const DeviceCommunicators* maker, Communicator& ranks) {
  const std::string mine = why_not(maker);
  const std::vector<std::string> all = ranks.gather(mine);
  const std::vector<std::string> devices =
      ranks.gather(mine.empty() ? this_machine() + " " + maker->identity(device) : "");
  for (std::size_t r = 0; r < all.size(); ++r) {
    const auto rank = static_cast<int>(r);
    if (!all[r].empty()) return fmt::format("{}: {}", ranks.name_of(rank), all[r]);
    const auto same = std::ranges::find(devices, devices[r]) - devices.begin();
    if (same == rank) continue;
    return fmt::format(
        "{} and {} share one device: start one rank for each (mpirun -n N on a machine with N "
        "GPUs, srun --gpus-per-task=1)",
        ranks.name_of(static_cast<int>(same)), ranks.name_of(rank));
  }
  return "";
}

}  // namespace

void register_device_communicators(DeviceKind kind, const DeviceCommunicators& communicators) {
  makers()[static_cast<std::size_t>(kind)] = &communicators;
}

std::unique_ptr<DeviceCommunicator> join_devices(Device device, Communicator& ranks, bool needed) {
  if (device.kind == DeviceKind::cpu) return nullptr;
  const DeviceCommunicators* const maker = makers()[static_cast<std::size_t>(device.kind)];
  const std::string why = why_not(device, maker, ranks);
  if (why.empty()) return maker->join(device, ranks);
  if (needed) fail("the ranks' devices cannot sum among themselves: {}", why);
  if (ranks.first()) notice("sums over ranks go through host memory: {}", why);
  return nullptr;
}

}  // namespace pixeldp
