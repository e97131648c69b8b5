#include <algorithm>
#include <unordered_map>

#include "engine/interrupt.hpp"
#include "engine/threads.hpp"
#include "pixeldp/draw_pool.hpp"
#include "pixeldp/sampling.hpp"

namespace pixeldp {
namespace {

/// The selection draws, and those from each look to the next.
std::vector<DrawRange> stages_of(const SamplingOptions& o, std::span<const std::uint64_t> looks) {
  std::vector<DrawRange> stages = {{.seed = o.seed,
                                    .tag = StreamTag::selection,
                                    .count = o.selection_draws,
                                    .interruptible = true}};
  std::uint32_t first = 0;
  for (const std::uint64_t look : looks) {
    const auto last = static_cast<std::uint32_t>(look);
    stages.push_back({.seed = o.seed,
                      .tag = StreamTag::estimation,
                      .first = first,
                      .count = last - first,
                      .interruptible = true,
                      .histogram = o.histogram});
    first = last;
  }
  return stages;
}

std::vector<std::uint32_t> draws_of(const std::vector<DrawRange>& stages) {
  std::vector<std::uint32_t> draws;
  for (const DrawRange& stage : stages) draws.push_back(stage.count);
  return draws;
}

}  // namespace

void sample_to_looks(Sampler& sampler, const Dataset& dataset, std::span<const std::int64_t> images,
                     const SamplingOptions& o, std::span<const std::uint64_t> looks,
                     const std::function<bool(const SampledImage&)>& enough,
                     const std::function<void(SampledImage)>& take) {
  const std::vector<DrawRange> stages = stages_of(o, looks);
  DrawPool pool(images.size(), draws_of(stages));
  std::unordered_map<std::size_t, SampledImage> undecided;  // by their places in `images`
  while (!interrupted()) {
    const DrawPool::Round round = pool.next(sampler.rows_at_once());
    if (round.images.empty()) return;
    const bool selects = round.stage == 0;
    std::vector<SampledImage> drawn;  // as far as they were, when interrupted
    sampler.run(
        std::ssize(round.images), stages[round.stage],
        [&](std::int64_t index, float* pixels) {
          const std::int64_t image = images[round.images[static_cast<std::size_t>(index)]];
          to_float(dataset, image, image + 1, pixels, o.pixel_shift);
          return dataset.image_id(image);
        },
        [&](std::int64_t index, const ScoreStatistics& statistics) {
          const std::size_t place = round.images[static_cast<std::size_t>(index)];
          if (selects) {
            drawn.push_back({.image = images[place],
                             .label = dataset.labels[static_cast<std::size_t>(images[place])],
                             .selection_draws = o.selection_draws,
                             .selected = statistics.top_label(o.scores),
                             .statistics = {}});
          } else {
            drawn.push_back(std::move(undecided.extract(place).mapped()));
            drawn.back().statistics += statistics;
          }
          return true;
        });
    std::vector<char> done(drawn.size(), false);
    if (!selects) {
      parallel_for(std::ssize(drawn), [&](std::int64_t i) {
        const auto at = static_cast<std::size_t>(i);
        done[at] = enough(drawn[at]);
      });
    }
    for (std::size_t i = 0; i < drawn.size(); ++i) {
      if (done[i]) {
        take(std::move(drawn[i]));
      } else {
        pool.put_back(round.images[i], round.stage);
        undecided.emplace(round.images[i], std::move(drawn[i]));
      }
    }
  }
}

}  // namespace pixeldp
