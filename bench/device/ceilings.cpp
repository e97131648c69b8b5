#include "bench/device/ceilings.hpp"

#include <algorithm>
#include <iterator>
#include <string_view>

#include <fmt/format.h>

#include "bench/device/on_device.hpp"
#include "bench/device/rivals.hpp"
#include "bench/device/session.hpp"
#include "engine/error.hpp"
#include "engine/runtime.hpp"

namespace pixeldp::bench {
namespace {

Runtime::Properties properties_of(const Device& device) {
  return runtime(device.kind).properties(device.index);
}

}  // namespace

Share share_of(const KernelCase& work, double seconds, const CeilingRates& rates) {
  struct Unit {
    std::string_view name;
    double time;  ///< of an operation, in those of the bf16 product
    const char* ceiling;
  };
  constexpr Unit units[] = {{"bf16", 1.0, "bf16 product"},
                            {"tf32", 2.0, "half of the bf16 product"},
                            {"int8", 0.5, "twice the bf16 product"}};
  if (!rates.copied_bytes) return {{}, "the copy was not measured"};
  const double moving = work.bytes / *rates.copied_bytes;
  const Unit* const unit = std::ranges::find(units, work.unit, &Unit::name);
  if (unit == std::end(units)) return {moving / seconds, "copy bandwidth"};
  if (!rates.bf16_operations) return {{}, "cuBLASLt's product was not measured"};
  const double calculating = unit->time * work.operations / *rates.bf16_operations;
  if (moving > calculating) return {moving / seconds, "copy bandwidth"};
  return {calculating / seconds, unit->ceiling};
}

Ceilings::Ceilings(const Stream& stream, Stopwatch& watch, CaseSize size)
    : stream_(stream), watch_(watch), size_(size) {}

const Ceilings::Ceiling& Ceilings::once(std::optional<Ceiling>& ceiling,
                                        const std::function<Ceiling()>& measure) {
  if (!ceiling) {
    try {
      ceiling = measure();
    } catch (const Error& error) {
      ceiling = Ceiling{{}, 0.0, error.what()};
    }
  }
  return *ceiling;
}

Ceilings::Ceiling Ceilings::measure_copy() {
  constexpr std::size_t most = std::size_t{512} << 20, least = std::size_t{64} << 10;
  const std::size_t memory = properties_of(stream_.device()).memory_bytes;
  const std::size_t bytes = size_ == CaseSize::full ? std::min(most, memory / 8) : least;
  const Device device = stream_.device();
  const Memory from(device, bytes), to(device, bytes);
  const Timing timing = watch_.time(
      Cache::warm, [&] { copy_memory(stream_, to.data(), device, from.data(), device, bytes); });
  return {timing, 2.0 * static_cast<double>(bytes), ""};
}

Ceilings::Ceiling Ceilings::measure_l2_read() {
  const Runtime::Properties device = properties_of(stream_.device());
  // More than all L1 caches hold, and less than the half of L2 that is near to a multiprocessor.
  const auto quarter = static_cast<std::int64_t>(device.l2_bytes / 4 / sizeof(float) / 4 * 4);
  const std::int64_t floats = size_ == CaseSize::full ? quarter : 4096;
  const int passes = size_ == CaseSize::full ? 32 : 2;
  const int blocks = size_ == CaseSize::full ? 8 * device.multiprocessors : 2;
  Inputs inputs(stream_);
  const auto* data = inputs.random<float>(floats);
  auto* sum = inputs.zeros<float>(1);
  const Timing timing = watch_.time(
      Cache::warm, [&] { read_repeatedly(stream_, blocks, data, floats, passes, sum); });
  return {timing, 4.0 * static_cast<double>(floats) * passes, ""};
}

Ceilings::Ceiling Ceilings::measure_product(ProductType type) {
  Inputs inputs(stream_);
  const std::int64_t n = product_size();
  const Rival rival = matrix_product(inputs, type, n);
  if (!rival.obstacle.empty()) return {{}, 0.0, rival.obstacle};
  const Timing timing = watch_.time(Cache::warm, best_algorithm(watch_, rival));
  return {timing, 2.0 * product({n, n, n}), ""};
}

const Ceilings::Ceiling& Ceilings::copy() {
  return once(copy_, [this] { return measure_copy(); });
}
const Ceilings::Ceiling& Ceilings::l2_read() {
  return once(l2_read_, [this] { return measure_l2_read(); });
}
const Ceilings::Ceiling& Ceilings::bf16_product() {
  return once(bf16_, [this] { return measure_product(ProductType::bf16); });
}
const Ceilings::Ceiling& Ceilings::int8_product() {
  return once(int8_, [this] { return measure_product(ProductType::int8); });
}

std::int64_t Ceilings::product_size() const { return size_ == CaseSize::full ? 8192 : 256; }

CeilingRates Ceilings::rates() {
  const auto rate_of_ceiling = [](const Ceiling& ceiling) -> std::optional<double> {
    if (!ceiling.obstacle.empty() || !ceiling.timing.invalid.empty()) return {};
    return ceiling.count / ceiling.timing.median();
  };
  return {rate_of_ceiling(copy()), rate_of_ceiling(bf16_product())};
}

void ceilings(Session& session) {
  Ceilings& all = session.ceilings();
  const double nominal = properties_of(session.stream().device()).memory_bandwidth;
  const std::int64_t n = all.product_size();
  const auto line = [&](const std::string& what, const Ceilings::Ceiling& ceiling, double unit,
                        const char* name, const Share& share) {
    if (!ceiling.obstacle.empty())
      return session.report().note(fmt::format("{}: {}", what, ceiling.obstacle));
    session.line(what, ceiling.timing, ceiling.count * unit, name, share);
  };
  Share of_nominal = {{}, "the device does not say its bandwidth"};
  if (nominal > 0.0 && all.copy().obstacle.empty())
    of_nominal = {all.copy().count / all.copy().timing.median() / nominal,
                  fmt::format("{:.0f} GB/s by the memory's clock and width", 1e-9 * nominal)};
  line("copy within device memory, read and written", all.copy(), 1e-9, "GB/s", of_nominal);
  line("reading from L2", all.l2_read(), 1e-9, "GB/s", {{}, "nothing else"});
  line(fmt::format("cuBLASLt, bf16 product of {} cubed", n), all.bf16_product(), 1e-12, "TFLOP/s",
       {{}, "nothing else"});
  line(fmt::format("cuBLASLt, int8 product of {} cubed", n), all.int8_product(), 1e-12, "TOP/s",
       {{}, "nothing else"});
}

}  // namespace pixeldp::bench
