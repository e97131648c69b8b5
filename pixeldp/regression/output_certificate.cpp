#include "pixeldp/regression/output_certificate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/error.hpp"
#include "engine/named.hpp"
#include "pixeldp/regression/reaches.hpp"
#include "pixeldp/variation.hpp"

namespace pixeldp {

std::string_view name(Prediction prediction) {
  switch (prediction) {
    case Prediction::mean:
      return "mean";
    case Prediction::median:
      return "median";
  }
  fail("not a prediction: {}", static_cast<int>(prediction));
}

Prediction parse_prediction(std::string_view text) {
  return value_named(text, "prediction", predictions, name);
}

Bound OutputOptions::usual_bound(Prediction prediction) {
  switch (prediction) {
    case Prediction::mean:
      return Bound::betting;
    case Prediction::median:
      return Bound::clopper_pearson;
  }
  fail("not a prediction: {}", static_cast<int>(prediction));
}

namespace {

bool bounds_means(Bound bound) {
  switch (bound) {
    case Bound::hoeffding:
    case Bound::empirical_bernstein:
    case Bound::betting:
      return true;
    case Bound::clopper_pearson:
    case Bound::pairwise:
    case Bound::one_sided:
    case Bound::anytime:
      return false;
  }
  fail("not a bound: {}", static_cast<int>(bound));
}

/// Of the mean of an output that nothing bounds.
[[noreturn]] void refuse_unbounded(const OutputOptions& options, const Calibration& calibration) {
  constexpr const char* instead =
      "truncate it (network.output: truncated), or take --prediction median";
  if (options.kind == CertificateKind::pixeldp && calibration.mechanism == Mechanism::gaussian)
    fail_usage(
        "certificate pixeldp of an unbounded output: the lemma adds delta times the end of its "
        "range, which is infinite; only Laplace noise has delta = 0. Or {}",
        instead);
  if (options.kind == CertificateKind::pixeldp)
    fail_usage(
        "certificate pixeldp of an unbounded output: the lemma holds, for Laplace noise has delta "
        "= 0, but no number of draws bounds the expectation of an unbounded output; {}",
        instead);
  fail_usage(
      "certificate {} of the mean of an unbounded output: a rare draw may be as large as it "
      "likes, so that no number of draws bounds it; {}",
      name(options.kind), instead);
}

}  // namespace

void check_output_options(const OutputOptions& o, const kernels::RealOutput& output,
                          const Calibration& calibration) {
  if (!(o.alpha > 0.0 && o.alpha < 1.0))
    fail_usage("alpha {}: it must lie between 0 and 1", o.alpha);
  if (calibration.mechanism == Mechanism::none)
    fail_usage("a regression network without noise certifies nothing: train it with noise");
  switch (o.kind) {
    case CertificateKind::pixeldp_grid:
    case CertificateKind::cdf:
      fail_usage("certificate {} is for classifiers: take exact or pixeldp", name(o.kind));
    case CertificateKind::pixeldp:
      if (o.prediction == Prediction::median)
        fail_usage(
            "certificate pixeldp of a median: its lemma speaks of expectations only; take exact");
      if (!output.bounded()) refuse_unbounded(o, calibration);
      if (!(output.low <= 0.0 && output.high >= 0.0))
        fail_usage(
            "certificate pixeldp of an output from {} to {}: its lemma takes a range that contains "
            "0; take exact",
            output.low, output.high);
      break;
    case CertificateKind::exact:
      if (o.prediction == Prediction::mean && !output.bounded()) refuse_unbounded(o, calibration);
      break;
  }
  if (o.prediction == Prediction::mean && !bounds_means(o.bound))
    fail_usage(
        "{} bounds are of votes, not of means: take hoeffding, empirical-bernstein or betting",
        name(o.bound));
  if (o.prediction == Prediction::median && o.bound != Bound::clopper_pearson)
    fail_usage("{} bounds are not of order statistics: --prediction median takes clopper-pearson",
               name(o.bound));
}

OutputCertificate::OutputCertificate(const OutputStatistics& statistics,
                                     const kernels::RealOutput& output,
                                     const Calibration& calibration, const OutputOptions& options)
    : output_(output),
      scale_(calibration.noise_scale / calibration.sensitivity),
      rounding_(2.0 * calibration.prefix_error / calibration.noise_scale) {
  calibration.check();
  check_output_options(options, output, calibration);
  if (statistics.draws == 0) fail_usage("the number of draws must be at least 1");
  if (!(scale_ > 0.0 && std::isfinite(scale_)))
    fail("a noise of scale {} and a sensitivity of {} certify nothing", calibration.noise_scale,
         calibration.sensitivity);
  const OutputNoise noise{calibration.mechanism, charged_variation(calibration.variation)};
  if (options.prediction == Prediction::median)
    reach_ = std::make_shared<MedianReach>(statistics, output, noise, options.alpha);
  else if (options.kind == CertificateKind::pixeldp)
    reach_ = std::make_shared<LemmaReach>(statistics, output, noise, options);
  else if (options.kind == CertificateKind::exact)
    reach_ = std::make_shared<MeanReach>(statistics, output, noise, options);
  else
    fail("certificate {}: not of outputs", name(options.kind));
}

double OutputCertificate::size_of(double radius) const {
  if (!(radius >= 0.0 && std::isfinite(radius)))
    fail_usage("a radius of {}: it must be a finite number from 0 up", radius);
  return (radius / scale_ + rounding_) * (1.0 + 0x1p-46);
}

OutputInterval OutputCertificate::interval(double radius) const {
  OutputInterval interval = reach_->interval(size_of(radius));
  // Each end is made of some hundred terms within the range, each off by a few units of roundoff.
  const double margin = 0x1p-40 * output_.width();
  interval.low -= margin, interval.high += margin;
  if (!output_.bounded()) return interval;
  return {std::max(interval.low, output_.low), std::min(interval.high, output_.high)};
}

double OutputCertificate::move(double radius) const {
  if (radius == 0.0) return 0.0;
  const double most = output_.bounded() ? output_.width() : std::numeric_limits<double>::infinity();
  return std::min(most, reach_->move(size_of(radius)) + 0x1p-40 * output_.width());
}

double OutputCertificate::radius_of(double move) const {
  if (!(move > 0.0 && std::isfinite(move)))
    fail_usage("a move of {}: it must be a finite number above 0", move);
  // Beyond so many scales of the noise nothing is proved.
  constexpr double most_scales = 64.0;
  double certified = 0.0, not_certified = most_scales * scale_;
  if (this->move(not_certified) <= move) return not_certified;
  while (not_certified - certified > 0x1p-36 * not_certified) {
    const double middle = 0.5 * (certified + not_certified);
    (this->move(middle) <= move ? certified : not_certified) = middle;
    if (not_certified < 0x1p-40 * scale_) break;
  }
  return certified;
}

}  // namespace pixeldp
