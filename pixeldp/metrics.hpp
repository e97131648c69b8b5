#pragma once

#include <optional>
#include <span>
#include <vector>

#include "pixeldp/certificate_log.hpp"

namespace pixeldp {

// What a certificate log says of a classifier. Thresholds T are attack sizes in units where a pixel
// spans 1. A prediction with radius 0 holds for no attack at all: the classifier abstains from
// certifying it, and it is certified at no threshold, 0 included. All functions throw an Error when
// there are no records.

/// correct / n.
double accuracy(std::span<const CertificateRecord> records);

/// (correct, and certified with a radius of at least T) / n. T = 0 leaves out the right images that
/// are not certified at all, and so is at most the accuracy.
double certified_accuracy(std::span<const CertificateRecord> records, double threshold);

/// (certified with a radius of at least T) / n, correct or not.
double certified_fraction(std::span<const CertificateRecord> records, double threshold);

/// The share of the images certified at T that are correct; nothing when none is.
std::optional<double> certified_precision(std::span<const CertificateRecord> records,
                                          double threshold);

/// Where the curves of the metrics above step: `certified` images have a radius of at least T, and
/// `correct` of these are right.
struct CurvePoint {
  double threshold = 0.0;
  std::size_t certified = 0;
  std::size_t correct = 0;
};

/// The points at 0 and at every radius, in ascending order.
std::vector<CurvePoint> certified_curve(std::span<const CertificateRecord> records);

/// A share of the images as an estimate for all images of their kind.
struct ShareInterval {
  double low = 0.0;
  double high = 1.0;
};

/// The two-sided Clopper-Pearson interval of a binomial share: images drawn at random from all of
/// their kind have, with probability at least `confidence`, an interval that holds the share among
/// these. `share` is one of the metrics above, of as many images.
ShareInterval interval_over_images(double share, std::size_t images, double confidence = 0.95);

/// (radius = 0) / n.
double abstention(std::span<const CertificateRecord> records);

/// Mean radius, where an image whose prediction is wrong counts as 0.
double mean_radius(std::span<const CertificateRecord> records);

/// Median radius, where an image whose prediction is wrong counts as 0: the largest T at which the
/// certified accuracy is at least one half.
double median_radius(std::span<const CertificateRecord> records);

/// Draws per image, those for the label among them: the mean, and the median, of two middle ones
/// the smaller.
double mean_draws(std::span<const CertificateRecord> records);
std::uint64_t median_draws(std::span<const CertificateRecord> records);

/// What holds for the whole set at once. Each certificate fails with probability at most alpha, so
/// some of n do; with probability at least 1 - rho over the draws, the share of the images on which
/// the classifier is right and robust at T is at least the certified accuracy minus
///   alpha + sqrt(2 alpha (1 - alpha) ln(1/rho) / n) + ln(1/rho) / (3 n)
/// (Bernstein's inequality for the number of failures; after Cohen et al. 2019). Needs draws that
/// are independent between images. Not below 0. Throws a usage error unless 0 < alpha <= 1/2 and
/// 0 < rho < 1.
double certified_accuracy_of_set(std::span<const CertificateRecord> records, double threshold,
                                 double alpha, double rho);

/// The thresholds of tables, from 0 to 1.
const std::vector<double>& default_thresholds();

}  // namespace pixeldp
