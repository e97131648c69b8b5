#pragma once

#include <vector>

#include "pixeldp/regression/output_certificate.hpp"

namespace pixeldp {

// The three forms of OutputCertificate, which says what each is.

/// What is known of the noise: the theorem's mechanism, and a bound of the total variation between
/// its law and the one that is drawn from.
struct OutputNoise {
  Mechanism mechanism = Mechanism::none;
  double variation = 0.0;
};

/// The lemma of the paper.
class LemmaReach : public OutputCertificate::Reach {
 public:
  LemmaReach(const OutputStatistics& statistics, const kernels::RealOutput& output,
             const OutputNoise& noise, const OutputOptions& options);
  OutputInterval interval(double size) const override;
  double move(double size) const override;

 private:
  /// The least that `value` is at any epsilon and the delta that belongs to it.
  template <class Value>
  double best(double size, Value value) const;

  OutputInterval range_, positive_, negative_;
  OutputNoise noise_;
};

/// A bound of a probability, and Phi^-1 of it, rounded to the same side.
struct TailLevel {
  double p = 0.0, z = 0.0;
};

/// Bounds of P(u >= t) at the ends of the steps under the theorem's law, and what attacks make of
/// them.
class Tails {
 public:
  /// All bounds hold together with probability at least 1 - failure.
  Tails(const OutputStatistics& statistics, const OutputNoise& noise, double failure);

  // Step i goes from i to i + 1 of output_steps; at the end of it, P(u >= t) is
  double lower_after(int step, double size) const;  ///< at least this, whatever the attack
  double upper_after(int step, double size) const;  ///< at most this
  /// Within step i, P(u >= t) rises by at most so much, and falls.
  double most_rise(int step, double size) const;
  double most_fall(int step, double size) const;

 private:
  double after(const TailLevel& level, double size, bool up) const;
  double peak(double size) const;
  double rise_between(const TailLevel& low, const TailLevel& high, double size) const;

  Mechanism noise_;
  std::vector<TailLevel> lower_, upper_;
};

/// The mean by Neyman and Pearson.
class MeanReach : public OutputCertificate::Reach {
 public:
  MeanReach(const OutputStatistics& statistics, const kernels::RealOutput& output,
            const OutputNoise& noise, const OutputOptions& options);
  OutputInterval interval(double size) const override;
  double move(double size) const override;

 private:
  kernels::RealOutput output_;
  OutputInterval mean_;  ///< of u
  double variation_;
  Tails tails_;
};

/// The median by order statistics.
class MedianReach : public OutputCertificate::Reach {
 public:
  MedianReach(const OutputStatistics& statistics, const kernels::RealOutput& output,
              const OutputNoise& noise, double alpha);
  OutputInterval interval(double size) const override;
  double move(double size) const override;

 private:
  kernels::RealOutput output_;
  double variation_;
  Tails tails_;
};

}  // namespace pixeldp
