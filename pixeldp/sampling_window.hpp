#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/noise.hpp"
#include "pixeldp/sampling_loop.hpp"

namespace pixeldp {

/// The images whose prefixes are in memory at a time: so many that the device stays busy until the
/// window's end, so few that their prefixes stay small.
class WindowSize {
 public:
  static constexpr std::int64_t prefix_bytes = std::int64_t{64} << 20;

  /// For images, and their prefixes, of at most so many floats, and draws of each image.
  WindowSize(std::int64_t floats, std::uint32_t draws, WindowRows rows = {})
      : floats_(floats), draws_(draws), rows_(rows) {}

  std::int64_t first() const { return images_for(rows_.first); }
  /// After a window of so many images took so long: more of them where that was far less than
  /// WindowRows::seconds, else as many.
  std::int64_t next(std::int64_t images, double seconds) const;

 private:
  /// Images for about so many rows, at least 1.
  std::int64_t images_for(std::int64_t rows) const;

  std::int64_t floats_;
  std::uint32_t draws_;
  WindowRows rows_;
};

/// Describes rows first ... of a window of `count` images with these ids, `rows` in all; slots are
/// what draw_statistics takes. Past the window's end the last row is repeated and counts nowhere,
/// so that shapes stay fixed.
void describe_rows(const DrawRange& draws, std::span<const std::uint32_t> ids, std::int64_t count,
                   std::int64_t first, std::span<kernels::NoiseRow> rows,
                   std::span<std::int64_t> slots);

/// A network's noise, which knows no draws, for these.
kernels::NoiseParams noise_for(kernels::NoiseParams noise, const DrawRange& draws);

/// The statistics of draws with their histograms, from a loop that makes none: one draw of some
/// images at a time, whose sums are its scores.
void run_draw_by_draw(SamplingLoop& loop, std::int64_t images, const DrawRange& draws,
                      const ImageSource& source, const StatisticsConsumer& consume);

/// What has been counted for image `image` of arrays [images, classes].
ScoreStatistics statistics_of(std::int64_t image, std::int64_t classes, std::uint32_t draws,
                              std::span<const std::uint64_t> votes,
                              std::span<const std::uint64_t> sums,
                              std::span<const std::uint64_t> squares);

}  // namespace pixeldp
