#include "kernels/bounds.hpp"

#include <cmath>

#include "engine/error.hpp"
#include "kernels/operations.hpp"

namespace pixeldp::kernels {

void bound_predictions(const Stream& stream, const BoundsParams& params,
                       const CountedDraws& counted, BoundedPrediction* results,
                       std::uint64_t* bad_image) {
  if (params.images < 0 || params.classes < 2)
    fail("bounds of {} images and {} classes", params.images, params.classes);
  if (!(params.alpha > 0.0 && params.alpha < 1.0))
    fail("alpha {} is out of range: it must lie between 0 and 1", params.alpha);
  if (!(params.scale_per_sensitivity > 0.0 && std::isfinite(params.scale_per_sensitivity)))
    fail("a noise scale of {} sensitivities certifies nothing", params.scale_per_sensitivity);
  if (params.softmax && is_of_votes(params.bound))
    fail("this bound needs argmax scores: use hoeffding, empirical-bernstein or betting");
  if (params.bound == MeanBound::one_sided && counted.selected == nullptr && params.images > 0)
    fail("one-sided bounds need labels that other draws have selected");
  operations(stream).bound_predictions(stream, params, counted, results, bad_image);
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
