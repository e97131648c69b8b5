#pragma once

#include <cstdint>

#include "engine/device.hpp"

namespace pixeldp::kernels {

/// How the expected score of a label is bounded (pixeldp/bounds.hpp gives the formulas).
enum class MeanBound {
  hoeffding,
  empirical_bernstein,
  betting,
  clopper_pearson,
  pairwise,
  one_sided,
  anytime
};

/// Whether it is a bound of votes and of no other scores.
constexpr bool is_of_votes(MeanBound bound) {
  switch (bound) {
    case MeanBound::hoeffding:
    case MeanBound::empirical_bernstein:
    case MeanBound::betting:
      return false;
    case MeanBound::clopper_pearson:
    case MeanBound::pairwise:
    case MeanBound::one_sided:
    case MeanBound::anytime:
      return true;
  }
  return true;
}

/// The certificate and the noise that it is for (pixeldp/certificate.hpp gives the formulas).
enum class RadiusRule { gaussian, gaussian_grid, gaussian_exact, laplace, laplace_exact };

struct BoundsParams {
  std::int64_t images = 0;
  std::int64_t classes = 0;
  bool softmax = false;  ///< the statistics are sums and squares, not votes
  MeanBound bound = MeanBound::clopper_pearson;
  RadiusRule rule = RadiusRule::gaussian;
  double alpha = 0.05;                 ///< failure probability per prediction
  double scale_per_sensitivity = 0.0;  ///< noise scale / sensitivity, as the host divides them
};

/// What was counted, as draw_statistics leaves it.
struct CountedDraws {
  const std::uint64_t* draws = nullptr;    ///< [images]; 0 marks padding
  const std::uint64_t* votes = nullptr;    ///< [images, classes], if not softmax
  const std::uint64_t* sums = nullptr;     ///< [images, classes], if softmax
  const std::uint64_t* squares = nullptr;  ///< [images, classes], if softmax
  /// [images]: labels chosen on separate draws. Null: the top label of these statistics is taken,
  /// and the bounds pay for that choice.
  const std::int64_t* selected = nullptr;
};

/// The fields of pixeldp::Certificate. As it stands here for padding.
struct BoundedPrediction {
  std::int64_t prediction = -1;
  double lower = 0.0;
  double upper = 1.0;
  double radius = 0.0;
  bool operator==(const BoundedPrediction&) const = default;
};

/// The value of *bad_image when every image's statistics were consistent.
inline constexpr std::uint64_t no_bad_image = ~std::uint64_t{0};

/// The certificates (pixeldp::certify) of many images on the stream's device, not a processor, with
/// everything in its memory; results [images]. They are the processor's before anything is charged
/// for floats, to within the last digits and never beyond them; kernels/cuda/bounds.hpp says more.
/// An image whose statistics no draws can have left makes *bad_image, no_bad_image before, the
/// lowest such image, for check_bad_image. Throws an Error for what no bound can be made of:
/// negative counts, fewer than two classes, alpha outside (0, 1), a scale that is not positive and
/// finite, bounds of votes for softmax scores, and one-sided bounds without selected labels.
void bound_predictions(const Stream& stream, const BoundsParams& params,
                       const CountedDraws& counted, BoundedPrediction* results,
                       std::uint64_t* bad_image);

/// Throws an Error where *bad_image names an image.
void check_bad_image(std::uint64_t bad_image, const BoundsParams& params);

}  // namespace pixeldp::kernels
