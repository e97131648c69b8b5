#pragma once

#include <memory>
#include <string_view>

#include "pixeldp/certificate.hpp"
#include "pixeldp/regression/output_statistics.hpp"

namespace pixeldp {

/// What a regression network predicts: the mean or the median, over its noise, of its output.
enum class Prediction { mean, median };
inline constexpr Prediction predictions[] = {Prediction::mean, Prediction::median};

/// "mean", "median".
std::string_view name(Prediction prediction);
Prediction parse_prediction(std::string_view text);

struct OutputOptions {
  Prediction prediction = Prediction::mean;
  CertificateKind kind = CertificateKind::exact;
  Bound bound = Bound::betting;
  double alpha = 0.05;  ///< failure probability per image

  /// The bound that is usual for a prediction.
  static Bound usual_bound(Prediction prediction);
  bool operator==(const OutputOptions&) const = default;
};

/// Throws a usage error that says why, where there is no such certificate.
void check_output_options(const OutputOptions& options, const kernels::RealOutput& output,
                          const Calibration& calibration);

struct OutputInterval {
  double low = 0.0, high = 0.0;
  double width() const { return high - low; }
  bool contains(double value) const { return value >= low && value <= high; }
};

/// The stability lemma of Lecuyer et al. 2019, appendix E. For an output A in [a, b], a <= 0 <= b,
/// A = A+ - A-, that is (epsilon, delta)-private for changes of a size,
///   E A(x') <= e^eps E A+(x) - e^-eps E A-(x) + b delta - e^-eps a delta
///   E A(x') >= e^-eps E A+(x) - e^eps E A-(x) - e^-eps b delta + a delta,
/// here from bounds of E A+(x) and E A-(x). With delta = 0 the range does not matter, and may be
/// infinite. Not rounded.
OutputInterval stable_interval(const OutputInterval& positive, const OutputInterval& negative,
                               const OutputInterval& range, double epsilon, double delta);

/// How far E A can move by the same lemma, from upper bounds of E A+(x) and E A-(x):
///   E A(x') - E A(x) <= (e^eps - 1) E A+(x) + (1 - e^-eps) E A-(x) + b delta - e^-eps a delta
/// and the same with A+ and A- exchanged for the other side.
double stable_move(double positive, double negative, const OutputInterval& range, double epsilon,
                   double delta);

/// What an attack can make of an event's probability p at most, when it moves the values before the
/// noise by `size` scales of the noise in the norm that fits: Phi(Phi^-1(p) + size) for Gaussian
/// noise (Neyman and Pearson); for Laplace noise the trade-off curve of one coordinate,
///   e^size p up to e^-size / 2,  1 - e^-size / (4 p) up to 1/2,  1 - e^-size (1 - p) from there
///   on.
double probability_after(Mechanism mechanism, double p, double size);

/// What is proved of the prediction for one image, from what was counted: all of it holds together
/// with probability at least 1 - alpha, whatever radii and moves are asked for.
///
/// With a calibration that charges for the processor's own noise (variation.hpp): probabilities and
/// means in the range of the law that is drawn from are within the variation v of the theorem's, at
/// the image and at the attack, so that bounds are widened by v before an attack and by v behind
/// it; and prefix_error makes an attack longer, as it makes radii shorter (less_rounding).
///
/// mean, pixeldp: E A+ and E A- are each bounded from both sides, all at alpha / (number of these
/// bounds), and the lemma is applied with the best epsilon: of Gaussian noise epsilon <= 1 and
/// delta as in noise_scale_for.
///
/// mean, exact: with u the place in the range, E u = integral of P(u >= t) over t, and each of
/// these probabilities moves at most as probability_after says. They are bounded at the ends of the
/// steps (tail_bounds, 3/4 of alpha), and the mean itself by the chosen bound (the rest). The
/// interval is the smaller of what follows from the probabilities alone and of the bound of the
/// mean plus how far it can move.
///
/// median, exact: the median is at least t where P(u >= t) stays above 1/2, and below t where that
/// stays below 1/2: order statistics, as the counts at the ends of the steps give them.
class OutputCertificate {
 public:
  /// Throws what check_output_options does, and a usage error for no draws.
  OutputCertificate(const OutputStatistics& statistics, const kernels::RealOutput& output,
                    const Calibration& calibration, const OutputOptions& options);

  /// Holds the prediction for every image within the radius; rounded outwards. An end is infinite
  /// where nothing limits the median of an unbounded output.
  OutputInterval interval(double radius) const;
  /// How far the prediction for an image within the radius can be from that for the image itself;
  /// rounded up.
  double move(double radius) const;
  /// The largest radius, rounded down, within which the prediction moves at most so far. Throws a
  /// usage error unless that is a finite number above 0.
  double radius_of(double move) const;

  /// What follows from attacks of a size in scales of the noise.
  class Reach {
   public:
    virtual ~Reach() = default;
    virtual OutputInterval interval(double size) const = 0;
    virtual double move(double size) const = 0;
  };

 private:
  double size_of(double radius) const;

  kernels::RealOutput output_;
  double scale_;     ///< of the noise, per unit of the attack norm
  double rounding_;  ///< what rounding before the noise adds to a size
  std::shared_ptr<const Reach> reach_;
};

}  // namespace pixeldp
