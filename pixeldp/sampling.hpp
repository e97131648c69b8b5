#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "engine/io/dataset.hpp"
#include "pixeldp/sampler.hpp"

namespace pixeldp {

/// What was measured of one image: all that a certificate is made of.
struct SampledImage {
  std::int64_t image = 0;  ///< in the data set
  int label = -1;
  std::uint64_t selection_draws = 0;
  std::optional<int> selected = {};  ///< the label that separate draws chose, if any
  ScoreStatistics statistics;        ///< of the estimation draws
};

struct SamplingOptions {
  std::uint64_t seed = 1;
  std::uint32_t first = 0;    ///< number of the first estimation draw
  std::uint32_t draws = 300;  ///< estimation draws per image
  /// Draws that choose the label; 0: the estimation draws choose it.
  std::uint32_t selection_draws = 0;
  ScoreType scores = ScoreType::argmax;  ///< by which separate draws choose
  float pixel_shift = 0.0f;              ///< of the model
  bool histogram = false;                ///< of the estimation draws' scores
};

/// Samples images of a data set, and gives each to `take` in their order as soon as it is done.
/// Ends early when the process is interrupted. An image's counts depend on the model, the image and
/// the options only, so that ranges of images can be sampled anywhere. Exceptions of `take` pass
/// through.
void sample(Sampler& sampler, const Dataset& dataset, std::span<const std::int64_t> images,
            const SamplingOptions& options, const std::function<void(SampledImage)>& take);

/// The same of images that stop at the first of `looks`, ascending numbers of estimation draws, at
/// which `enough` holds, and at the last anyhow, of which it says so; each is given to `take` as
/// soon as it has stopped, in any order. `enough` may be called from several threads. The options'
/// selection draws, of which there are some, choose the labels; their other draws do not count.
void sample_to_looks(Sampler& sampler, const Dataset& dataset, std::span<const std::int64_t> images,
                     const SamplingOptions& options, std::span<const std::uint64_t> looks,
                     const std::function<bool(const SampledImage&)>& enough,
                     const std::function<void(SampledImage)>& take);

}  // namespace pixeldp
