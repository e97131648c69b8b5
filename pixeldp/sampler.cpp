#include "pixeldp/sampler.hpp"

#include <algorithm>

#include "engine/error.hpp"
#include "pixeldp/sampling_window.hpp"

namespace pixeldp {

void check_draws(const DrawRange& draws) {
  if (draws.count == 0) fail_usage("the number of draws must be at least 1");
  if (std::uint64_t{draws.first} + draws.count > (std::uint64_t{1} << 32)) {
    fail_usage("draws are numbered by 32 bits: {} draws from number {} on do not fit", draws.count,
               draws.first);
  }
}

std::int64_t Sampler::default_micro_batch(const Device& device) {
  return device.kind == DeviceKind::cuda ? 512 : 64;
}

std::int64_t Sampler::largest_micro_batch(const Device& device, const layers::Network& network) {
  // Every thread of a processor has a micro-batch of its own.
  const std::int64_t bytes =
      device.kind == DeviceKind::cpu ? WindowSize::prefix_bytes : 4 * WindowSize::prefix_bytes;
  const std::int64_t row =
      network.noise_shape(1).row_size() * static_cast<std::int64_t>(sizeof(float));
  return std::clamp(bytes / row, default_micro_batch(device), WindowRows().first);
}

Sampler::Sampler(const Stream& stream, const layers::Network& network, std::int64_t micro_batch,
                 const BodyPrecision& precision, std::shared_ptr<const LatticePrefix> lattice)
    : classes_(network.classes()) {
  if (micro_batch < 0) fail_usage("a micro-batch needs at least one row, not {}", micro_batch);
  if (micro_batch == 0) micro_batch = default_micro_batch(stream.device());
  micro_batch = std::min(micro_batch, largest_micro_batch(stream.device(), network));
  const kernels::NetworkPlan plan = lower(stream, network);
  function_ = body_function(stream.device(), precision, plan.body);
  // A device makes memory and a graph for each run, and goes from window to window in it.
  const auto window = static_cast<std::uint64_t>(WindowRows().first);
  rows_at_once_ = stream.device().kind == DeviceKind::cpu ? window : 16 * window;
  loop_ = stream.device().kind == DeviceKind::cpu
              ? make_host_sampling_loop(plan, micro_batch, precision, std::move(lattice))
              : make_device_sampling_loop(stream, plan, micro_batch, precision,
                                          kernels::Fusion::allowed, {}, std::move(lattice));
}

void Sampler::run(std::int64_t images, const DrawRange& draws, const ImageSource& source,
                  const StatisticsConsumer& consume) {
  check_draws(draws);
  if (images > 0) loop_->run(images, draws, source, consume);
}

}  // namespace pixeldp
