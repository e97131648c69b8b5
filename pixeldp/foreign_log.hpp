#pragma once

#include <string_view>

#include "pixeldp/certificate_log.hpp"

namespace pixeldp {

/// What counts of other programs come without.
struct ForeignConditions {
  Mechanism mechanism = Mechanism::gaussian;
  double noise_scale = 0.0;  ///< sigma or b, in units where a pixel spans 1
  double alpha = 0.05;
  std::uint64_t draws = 0;  ///< estimation draws, and draws that chose the label, of smoothing logs
  std::uint64_t selection_draws = 100;
};

/// Whose file a text is: CountSource::draws for a certificate log of this program, of either
/// format, and for what is none at all.
CountSource source_of(std::string_view text);

/// The original program's eval_data.json: votes, the sensitivity that it measured, and whether each
/// prediction is right. Its sums of softmax scores are left alone: they were added in floating
/// point. Throws an Error that names `source` and the key for anything else, votes that are no
/// whole numbers, and images of different numbers of draws.
CertificateLog parse_eval_data(std::string_view text, std::string_view source,
                               const ForeignConditions& conditions);

/// A tab-separated log of randomised smoothing: idx, label, predict, radius, correct, time (Cohen
/// et al. 2019), whose radii sigma Phi^-1(lower bound at alpha) are rounded to three digits. The
/// smallest count that gives such a radius is taken, and all other votes are given to one label: no
/// certificate of these votes is larger than one of the votes that were counted. An abstention has
/// all votes on another label. Throws an Error that names `source` and the line for anything else,
/// and where no count gives the radius: sigma, alpha or draws are others.
CertificateLog parse_smoothing_log(std::string_view text, std::string_view source,
                                   const ForeignConditions& conditions);

}  // namespace pixeldp
