#pragma once

#include <vector>

#include "pixeldp/certificate_log.hpp"

namespace pixeldp::report {

/// The expected score of one label as the draws tell it, and what an attack can make of it.
struct LabelScore {
  int label = 0;
  double observed = 0.0;  ///< share of the votes, or mean softmax score
  double lower = 0.0;     ///< bounds of the expected score
  double upper = 1.0;
  double attacked_lower = 0.0;  ///< bounds of the expected score under any attack of the given size
  double attacked_upper = 1.0;
};

/// The picture behind one certificate (Lecuyer et al. 2019, figure 1b).
struct Stability {
  double attack = 0.0;   ///< attack size, in units where a pixel spans 1
  double epsilon = 0.0;  ///< the pair of privacy parameters that moves the scores least,
  double delta = 0.0;    ///< where the certificate rests on one
  std::vector<LabelScore> labels = {};  ///< the prediction first, then by falling upper bound
  /// What the attack can make of the others at most: of the strongest one, or, of certificates of
  /// the K first labels, of each of K that overtake together. The prediction keeps its place while
  /// its attacked_lower is above.
  double rival = 0.0;
};

/// Bounds of all labels' expected scores, without an attack and under one of the record's certified
/// radius, by the very condition that certified it (cdf: cdf_certificate.hpp; of the K first
/// labels: top_k.hpp):
///   pixeldp  e^-eps (p - delta) to e^eps p + delta, where the noise makes the model (eps,
///   delta)-DP
///            for attacks of this size; Gaussian noise offers many pairs, the one of the largest
///            margin is taken
///   exact    Phi(Phi^-1(p) -/+ R Delta / sigma) for Gaussian noise, the trade-off curve of one
///            coordinate for Laplace noise
/// No label but the prediction can have more than 1 - (the prediction's lower bound). For display:
/// nothing here is rounded outwards. The record is one of records_of_labels.
Stability stability(const CertificateLogHeader& header, const CertificateRecord& record);

}  // namespace pixeldp::report
