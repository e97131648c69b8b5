#pragma once

#include <optional>
#include <span>
#include <vector>

#include "pixeldp/certificate_log.hpp"

namespace pixeldp {

// What a certificate log says of a classifier. Thresholds T are attack sizes in units where a pixel
// spans 1. A prediction with radius 0 holds for no attack at all: the classifier abstains from
// certifying it. All functions throw an Error when there are no records.

/// correct / n.
double accuracy(std::span<const CertificateRecord> records);

/// (correct and radius >= T) / n. T = 0 gives the accuracy.
double certified_accuracy(std::span<const CertificateRecord> records, double threshold);

/// (radius >= T) / n, correct or not.
double certified_fraction(std::span<const CertificateRecord> records, double threshold);

/// (correct and radius >= T) / (radius >= T); nothing when no radius reaches T.
std::optional<double> certified_precision(std::span<const CertificateRecord> records,
                                          double threshold);

/// (radius = 0) / n.
double abstention(std::span<const CertificateRecord> records);

/// Mean radius, where an image whose prediction is wrong counts as 0.
double mean_radius(std::span<const CertificateRecord> records);

/// Median radius, where an image whose prediction is wrong counts as 0: the largest T at which the
/// certified accuracy is at least one half.
double median_radius(std::span<const CertificateRecord> records);

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
