#include "kernels/arch.hpp"

#include <cstdlib>

#include "engine/error.hpp"
#include "engine/runtime.hpp"

namespace pixeldp::kernels {

const Arch& known_arch(std::string_view where, std::string_view capability) {
  std::string known;
  for (const Arch& arch : known_archs) {
    const std::string text = std::to_string(arch.capability);
    if (text == capability) return arch;
    known += ' ' + text;
  }
  fail_usage("{}: '{}' is no known architecture; give one of{}", where, capability, known);
}

Arch arch_of(const Device& device) {
  const Runtime::Properties p = runtime(device.kind).properties(device.index);
  Arch arch{.capability = p.architecture,
            .multiprocessors = p.multiprocessors,
            .shared_per_block = p.shared_per_block,
            .shared_per_multiprocessor = p.shared_per_multiprocessor,
            .registers_per_multiprocessor = p.registers_per_multiprocessor,
            .threads_per_multiprocessor = p.threads_per_multiprocessor,
            .l2_bytes = p.l2_bytes,
            .clock = p.clock,
            .dram_bandwidth = p.memory_bandwidth,
            .warpgroup_products = p.architecture == sm_90.capability};
  if (arch.multiprocessors < 1 || arch.shared_per_block == 0)
    fail("device {} ({}) does not say what multiprocessors it has: kernels are for GPUs",
         device.name(), p.name);
  const Arch* below = nullptr;
  for (const Arch& known : known_archs)
    if (known.capability <= arch.capability) below = &known;
  if (below == nullptr)
    fail("device {} ({}) is {}, older than the kernels' {}", device.name(), p.name, arch.name(),
         known_archs[0].name());
  arch.tensor_products = below->tensor_products / (p.name.find("GeForce") == p.name.npos ? 1 : 2);
  arch.int8_products = below->int8_products;
  arch.l2_bytes_per_clock = below->l2_bytes_per_clock;
  if (arch.clock == 0.0) arch.clock = below->clock;
  if (arch.dram_bandwidth == 0.0) arch.dram_bandwidth = below->dram_bandwidth;
  const char* const other = std::getenv("PIXELDP_ARCHITECTURE");
  return other != nullptr && device.kind == DeviceKind::cuda ? imitated(arch, other) : arch;
}

Arch imitated(const Arch& device, std::string_view capability) {
  Arch arch = known_arch("PIXELDP_ARCHITECTURE", capability);
  arch.warpgroup_products &= device.warpgroup_products;
  if (arch.shared_per_block > device.shared_per_block)
    fail_usage(
        "PIXELDP_ARCHITECTURE: a block of {} may take {} bytes of shared memory, and {} has {}",
        arch.name(), arch.shared_per_block, device.name(), device.shared_per_block);
  return arch;
}

void fail_shared_memory(const Arch& arch, std::string_view kernel, std::size_t bytes) {
  fail(
      "{}: a block takes {} bytes of shared memory, and {} has {}; use a GPU that has more, or the "
      "device 'cpu'",
      kernel, bytes, arch.name(), arch.shared_per_block);
}

}  // namespace pixeldp::kernels
