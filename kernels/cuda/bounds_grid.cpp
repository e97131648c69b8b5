#include <cmath>

#include "engine/error.hpp"
#include "kernels/cuda/bounds.hpp"

namespace pixeldp::kernels {

void check_bounds_arguments(const BoundsParams& params) {
  if (params.images < 0 || params.classes < 2)
    fail("bounds of {} images and {} classes", params.images, params.classes);
  if (!(params.alpha > 0.0 && params.alpha < 1.0))
    fail("alpha {} is out of range: it must lie between 0 and 1", params.alpha);
  if (!(params.scale_per_sensitivity > 0.0 && std::isfinite(params.scale_per_sensitivity)))
    fail("a noise scale of {} sensitivities certifies nothing", params.scale_per_sensitivity);
  if (params.softmax && params.bound == MeanBound::clopper_pearson)
    fail("clopper-pearson bounds need argmax scores: use hoeffding or empirical-bernstein");
}

BoundsGrid BoundsGrid::plan(const BoundsParams& params) {
  constexpr std::int64_t most_blocks = 0x7fffffff;
  const std::int64_t blocks = params.images / block_warps + (params.images % block_warps != 0);
  if (blocks > most_blocks)
    fail("bounds of {} images: one launch can do {}", params.images, most_blocks * block_warps);
  return {static_cast<unsigned>(blocks)};
}

void check_bad_image(std::uint64_t bad_image, const BoundsParams& params) {
  if (bad_image == no_bad_image) return;
  fail(
      "image {} of {}: its {} do not fit its number of draws, or its selected label is none of the "
      "{} classes; count its draws again",
      bad_image, params.images, params.softmax ? "sums of scores and of squares" : "votes",
      params.classes);
}

}  // namespace pixeldp::kernels
