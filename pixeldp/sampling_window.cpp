#include "pixeldp/sampling_window.hpp"

#include <algorithm>

namespace pixeldp {

std::int64_t WindowSize::images_for(std::int64_t rows) const {
  const std::int64_t wanted = (rows + draws_ - 1) / draws_;
  const std::int64_t affordable =
      prefix_bytes / (floats_ * static_cast<std::int64_t>(sizeof(float)));
  return std::max<std::int64_t>(1, std::min(wanted, affordable));
}

std::int64_t WindowSize::next(std::int64_t images, double seconds) const {
  // Another size takes new memory and a new graph: it must be worth it.
  constexpr double worthwhile = 2.0, most_at_once = 64.0;
  const double growth = std::min(rows_.seconds / std::max(seconds, 1e-9), most_at_once);
  const auto grown = static_cast<std::int64_t>(static_cast<double>(images) * growth);
  const std::int64_t larger = std::min(grown, images_for(rows_.most));
  return static_cast<double>(larger) >= worthwhile * static_cast<double>(images) ? larger : images;
}

void describe_rows(const DrawRange& draws, std::span<const std::uint32_t> ids, std::int64_t count,
                   std::int64_t first, std::span<kernels::NoiseRow> rows,
                   std::span<std::int64_t> slots) {
  const std::int64_t total = count * draws.count;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::int64_t wanted = first + static_cast<std::int64_t>(i);
    const std::int64_t row = std::min(wanted, total - 1), image = row / draws.count;
    rows[i] = {.source = image,
               .image = ids[static_cast<std::size_t>(image)],
               .draw = draws.first + static_cast<std::uint32_t>(row % draws.count)};
    slots[i] = wanted < total ? image : -1;
  }
}

kernels::NoiseParams noise_for(kernels::NoiseParams noise, const DrawRange& draws) {
  noise.seed = draws.seed, noise.tag = draws.tag;
  return noise;
}

void run_draw_by_draw(SamplingLoop& loop, std::int64_t images, const DrawRange& draws,
                      const ImageSource& source, const StatisticsConsumer& consume) {
  constexpr std::int64_t at_once = 256;
  for (std::int64_t first = 0; first < images; first += at_once) {
    std::vector<ScoreStatistics> all(static_cast<std::size_t>(std::min(at_once, images - first)));
    DrawRange one = draws;
    one.count = 1, one.histogram = false;
    for (std::uint32_t draw = 0; draw < draws.count; ++draw) {
      one.first = draws.first + draw;
      std::int64_t done = 0;
      loop.run(
          std::ssize(all), one,
          [&](std::int64_t index, float* pixels) { return source(first + index, pixels); },
          [&](std::int64_t index, ScoreStatistics statistics) {
            statistics.histogram = histogram_of_draw(statistics.sums);
            all[static_cast<std::size_t>(index)] += statistics;
            ++done;
            return true;
          });
      if (done < std::ssize(all)) return;  // interrupted
    }
    for (std::int64_t i = 0; i < std::ssize(all); ++i)
      if (!consume(first + i, all[static_cast<std::size_t>(i)])) return;
  }
}

ScoreStatistics statistics_of(std::int64_t image, std::int64_t classes, std::uint32_t draws,
                              std::span<const std::uint64_t> votes,
                              std::span<const std::uint64_t> sums,
                              std::span<const std::uint64_t> squares) {
  const auto slice = [&](std::span<const std::uint64_t> all) {
    const auto of_image =
        all.subspan(static_cast<std::size_t>(image * classes), static_cast<std::size_t>(classes));
    return std::vector<std::uint64_t>(of_image.begin(), of_image.end());
  };
  return {draws, slice(votes), slice(sums), slice(squares)};
}

}  // namespace pixeldp
