#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "pixeldp/sampler.hpp"
#include "pixeldp/shared_certification.hpp"

namespace pixeldp {

// The draws of single images, made by all ranks. What they leave is integers, so that the sums are
// those of one process, whoever made which draws.

/// Draws that a rank takes at a time, at least: some micro-batches.
inline constexpr std::int64_t draws_at_once = 512;

/// Whether the draws of each image are worth sharing: there are fewer images than ranks, and draws
/// for all.
inline bool worth_sharing(const Communicator& ranks, std::size_t images, std::uint64_t draws) {
  const auto count = static_cast<std::uint64_t>(ranks.size());
  return images < count && draws >= count * draws_at_once;
}

inline ScoreStatistics no_scores(int classes, bool histogram) {
  const auto each = static_cast<std::size_t>(classes);
  const std::vector<std::uint64_t> zeros(each);
  return {.draws = 0,
          .votes = zeros,
          .sums = zeros,
          .squares = zeros,
          .histogram = std::vector<std::uint64_t>(histogram ? each * score_thresholds : 0)};
}

/// All integers that statistics are made of.
inline std::vector<std::span<std::uint64_t>> integers_of(ScoreStatistics& s) {
  return {{&s.draws, 1}, s.votes, s.sums, s.squares, s.histogram};
}
inline std::vector<std::span<std::uint64_t>> integers_of(OutputStatistics& s) {
  kernels::OutputTotals& t = s.totals;
  return {{&s.draws, 1},    {&t.positive, 1},         {&t.positive_squares, 1},
          {&t.negative, 1}, {&t.negative_squares, 1}, t.counts};
}

/// Samples images 0 ... images - 1, each with `draws`, by all ranks, which claim pieces of them
/// whenever they are free; collective. Every rank gives the same statistics to `consume`, in the
/// order of the images: where one rank was interrupted, those before the first image that lacks
/// draws. `none`: statistics of no draws. A process alone gives each image as soon as it is done.
template <class AnySampler, class Statistics>
void sample_by_ranks(Communicator& ranks, AnySampler& sampler, std::int64_t images,
                     const DrawRange& draws, const ImageSource& source, const Statistics& none,
                     const std::function<void(std::int64_t, const Statistics&)>& consume) {
  if (ranks.size() == 1)
    return sampler.run(images, draws, source, [&](std::int64_t i, const Statistics& statistics) {
      consume(i, statistics);
      return true;
    });
  check_draws(draws);
  std::vector<Statistics> all(static_cast<std::size_t>(images), none);
  const auto add = [&](std::int64_t image, Statistics more) {
    const auto to = integers_of(all[static_cast<std::size_t>(image)]), from = integers_of(more);
    for (std::size_t kind = 0; kind < to.size(); ++kind)
      std::ranges::transform(to[kind], from[kind], to[kind].begin(), std::plus());
  };
  const std::int64_t count = draws.count, each = (count + draws_at_once - 1) / draws_at_once;
  std::vector<std::int64_t> blocks(static_cast<std::size_t>(images * each));
  std::iota(blocks.begin(), blocks.end(), std::int64_t{0});
  Claims claims(ranks, blocks, [](std::uint64_t) {});
  while (const auto claimed = claims.next()) {
    for (std::int64_t block = claimed->front(); block <= claimed->back();) {
      // Some whole images, or some draws of one.
      const std::int64_t image = block / each, first = block % each;
      const std::int64_t last = std::min(each, first + claimed->back() + 1 - block);
      const std::int64_t whole = first == 0 ? (claimed->back() + 1 - block) / each : 0;
      DrawRange range = draws;
      range.first += static_cast<std::uint32_t>(first * draws_at_once);
      range.count =
          static_cast<std::uint32_t>(std::min(count, last * draws_at_once) - first * draws_at_once);
      sampler.run(
          std::max<std::int64_t>(whole, 1), range,
          [&](std::int64_t i, float* pixels) { return source(image + i, pixels); },
          [&](std::int64_t i, const Statistics& statistics) {
            add(image + i, statistics);
            return true;
          });
      block += whole > 0 ? whole * each : last - first;
    }
  }
  std::vector<std::uint64_t> flat;
  for (Statistics& statistics : all)
    for (const auto integers : integers_of(statistics))
      flat.insert(flat.end(), integers.begin(), integers.end());
  ranks.all_reduce(std::span(flat));
  auto next = flat.begin();
  for (Statistics& statistics : all)
    for (const auto integers : integers_of(statistics)) {
      std::copy_n(next, integers.size(), integers.begin());
      next += std::ssize(integers);
    }
  for (std::int64_t image = 0; image < images; ++image) {
    const Statistics& statistics = all[static_cast<std::size_t>(image)];
    if (statistics.draws < draws.count) return;
    consume(image, statistics);
  }
}

}  // namespace pixeldp
