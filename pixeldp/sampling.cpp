#include "pixeldp/sampling.hpp"

#include <algorithm>
#include <vector>

#include "engine/interrupt.hpp"

namespace pixeldp {
namespace {

/// With separate draws, images go through in blocks: so much is lost by an interrupt, at most, and
/// so many labels are in memory.
constexpr std::size_t selection_block = 1024;

}  // namespace

void sample(Sampler& sampler, const Dataset& dataset, std::span<const std::int64_t> images,
            const SamplingOptions& o, const std::function<void(SampledImage)>& take) {
  const bool selects = o.selection_draws > 0;
  while (!images.empty() && !interrupted()) {
    const auto block =
        images.first(selects ? std::min(images.size(), selection_block) : images.size());
    images = images.subspan(block.size());
    const auto image_at = [&](std::int64_t index) {
      return block[static_cast<std::size_t>(index)];
    };
    const auto source = [&](std::int64_t index, float* pixels) {
      const std::int64_t image = image_at(index);
      to_float(dataset, image, image + 1, pixels, o.pixel_shift);
      return dataset.image_id(image);
    };
    std::vector<int> selected;
    if (selects) {
      sampler.run(std::ssize(block),
                  {.seed = o.seed,
                   .tag = StreamTag::selection,
                   .count = o.selection_draws,
                   .interruptible = true},
                  source, [&](std::int64_t, const ScoreStatistics& statistics) {
                    selected.push_back(statistics.top_label(o.scores));
                    return true;
                  });
      if (selected.size() < block.size()) return;
    }
    sampler.run(std::ssize(block),
                {.seed = o.seed,
                 .tag = StreamTag::estimation,
                 .first = o.first,
                 .count = o.draws,
                 .interruptible = true,
                 .histogram = o.histogram},
                source, [&](std::int64_t index, const ScoreStatistics& statistics) {
                  const std::int64_t image = image_at(index);
                  SampledImage sampled{.image = image,
                                       .label = dataset.labels[static_cast<std::size_t>(image)],
                                       .selection_draws = o.selection_draws,
                                       .statistics = statistics};
                  if (selects) sampled.selected = selected[static_cast<std::size_t>(index)];
                  take(std::move(sampled));
                  return true;
                });
  }
}

}  // namespace pixeldp
