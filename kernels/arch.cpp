#include "kernels/arch.hpp"

#include "engine/error.hpp"
#include "engine/runtime.hpp"

namespace pixeldp::kernels {

const Arch& known_arch(int capability) {
  const auto found = std::ranges::find(known_archs, capability, &Arch::capability);
  if (found != std::end(known_archs)) return *found;
  std::string known;
  for (const Arch& arch : known_archs) known += fmt::format(" {}", arch.capability);
  fail_usage("{} is none of the known architectures:{}", capability, known);
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
            .memory_bandwidth = p.memory_bandwidth};
  if (arch.multiprocessors < 1 || arch.shared_per_block == 0)
    fail("device {} ({}) does not say what multiprocessors it has: kernels are for GPUs",
         device.name(), p.name);
  for (const Arch& known : known_archs)
    if (known.capability <= arch.capability) arch.tensor_products = known.tensor_products;
  if (arch.tensor_products == 0)
    fail("device {} ({}) is {}, older than the kernels' {}", device.name(), p.name, arch.name(),
         known_archs[0].name());
  return arch;
}

void fail_shared_memory(const Arch& arch, std::string_view kernel, std::size_t bytes) {
  fail(
      "{}: a block takes {} bytes of shared memory, and {} has {}; use a GPU that has more, or the "
      "device 'cpu'",
      kernel, bytes, arch.name(), arch.shared_per_block);
}

}  // namespace pixeldp::kernels
