#include <fmt/format.h>

#include "bench/device/on_device.hpp"
#include "bench/device/session.hpp"

namespace pixeldp::bench {
namespace {

/// What a run does, in the unit that says most of it.
struct Quantity {
  double count;
  std::string unit;
};

Quantity quantity_of(const KernelCase& work) {
  if (!work.items.empty()) return {work.count, work.items + "/s"};
  if (work.operations > 0.0) return {1e-12 * work.operations, "TFLOP/s"};
  return {1e-9 * work.bytes, "GB/s"};
}

}  // namespace

void kernels_alone(Session& session) {
  for (const KernelCase& one : kernel_cases(session.stream().device(), session.options().size)) {
    session.attempt(one.name, [&] {
      Inputs inputs(session.stream());
      const Work work = one.prepare(inputs);
      const auto [count, unit] = quantity_of(one);
      for (const Cache cache : caches) {
        const Timing timing = session.watch().time(cache, work);
        session.line(fmt::format("{}, {}", one.name, name(cache)), timing, count, unit,
                     share_of(one, timing.median(), session.ceilings().rates()));
      }
    });
  }
}

}  // namespace pixeldp::bench
