#include "pixeldp/multi_draw.hpp"

#include <algorithm>

#include "engine/error.hpp"

namespace pixeldp {
namespace {

// Of a window of images: enough rows to keep the device busy until its end, few enough prefixes to
// stay small.
constexpr std::int64_t window_rows = 8192, prefix_bytes = std::int64_t{64} << 20;

}  // namespace

std::int64_t window_images(std::int64_t noise_size, std::uint32_t draws) {
  const std::int64_t wanted = (window_rows + draws - 1) / draws;
  const std::int64_t affordable =
      prefix_bytes / (noise_size * static_cast<std::int64_t>(sizeof(float)));
  return std::max<std::int64_t>(1, std::min(wanted, affordable));
}

void describe_rows(const DrawPlan& plan, std::span<const std::uint32_t> ids, std::int64_t count,
                   std::int64_t first, std::span<kernels::NoiseRow> rows,
                   std::span<std::int64_t> slots) {
  const std::int64_t draws = plan.draws, total = count * draws;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::int64_t wanted = first + static_cast<std::int64_t>(i);
    const std::int64_t row = std::min(wanted, total - 1), image = row / draws;
    rows[i] = {.source = image,
               .image = ids[static_cast<std::size_t>(image)],
               .draw = plan.first_draw + static_cast<std::uint32_t>(row % draws)};
    slots[i] = wanted < total ? image : -1;
  }
}

ScoreStatistics statistics_of(std::int64_t image, std::int64_t classes, std::uint32_t draws,
                              const std::vector<std::uint64_t>& votes,
                              const std::vector<std::uint64_t>& sums,
                              const std::vector<std::uint64_t>& squares) {
  const auto slice = [&](const std::vector<std::uint64_t>& all) {
    const auto begin = all.begin() + image * classes;
    return std::vector<std::uint64_t>(begin, begin + classes);
  };
  return {draws, slice(votes), slice(sums), slice(squares)};
}

std::int64_t MultiDrawPredictor::default_micro_batch(const Device& device) {
  return device.kind == DeviceKind::cuda ? 512 : 64;
}

std::int64_t MultiDrawPredictor::largest_micro_batch(const Device& device,
                                                     const layers::Network& network) {
  // Every thread of a processor has a micro-batch of its own.
  const std::int64_t bytes = device.kind == DeviceKind::cpu ? prefix_bytes : 4 * prefix_bytes;
  const std::int64_t row =
      network.noise_shape(1).row_size() * static_cast<std::int64_t>(sizeof(float));
  return std::clamp(bytes / row, default_micro_batch(device), window_rows);
}

MultiDrawPredictor::MultiDrawPredictor(const Stream& stream, const layers::Network& network,
                                       std::int64_t micro_batch, const BodyPrecision& precision)
    : classes_(network.classes()) {
  if (micro_batch < 0) fail_usage("a micro-batch needs at least one row, not {}", micro_batch);
  if (micro_batch == 0) micro_batch = default_micro_batch(stream.device());
  micro_batch = std::min(micro_batch, largest_micro_batch(stream.device(), network));
  const BodyPrecision chosen{precision_on(stream.device(), precision.precision),
                             precision.quantisation};
  const kernels::NetworkPlan plan = lower(stream, network);
  loop_ = stream.device().kind == DeviceKind::cpu
              ? make_host_draw_loop(plan, micro_batch, chosen)
              : make_device_draw_loop(stream, plan, micro_batch);
}

void MultiDrawPredictor::run(std::int64_t images, const DrawPlan& plan, const ImageSource& source,
                             const StatisticsConsumer& consume) const {
  if (plan.draws == 0) fail_usage("the number of draws must be at least 1");
  if (std::uint64_t{plan.first_draw} + plan.draws > (std::uint64_t{1} << 32)) {
    fail_usage("draws are numbered by 32 bits: {} draws from number {} on do not fit", plan.draws,
               plan.first_draw);
  }
  if (images > 0) loop_->run(images, plan, source, consume);
}

}  // namespace pixeldp
