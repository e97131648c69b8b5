#pragma once

#include <string>
#include <vector>

#include "pixeldp/report/run.hpp"
#include "pixeldp/report/stability.hpp"
#include "pixeldp/report/svg.hpp"

namespace pixeldp::report {

/// The classes that give the i-th run its colour and, beyond the sixth, its dashes.
std::string series(std::size_t index);

/// "1-norm", "2-norm", "inf-norm".
std::string norm_text(AttackNorm norm);

/// "share of the votes", "softmax score".
std::string_view score_text(ScoreType scores);

// Each figure is drawn twice, for wide pages and for telephones; the style sheet shows one.

/// The class that gives the curves of a certificate their dashes; empty for `exact`, whose curves
/// are whole.
std::string_view dashes(CertificateKind kind);

/// Certified accuracy against the threshold: of each run a step curve per certificate of its
/// counts; a run without noise is one mark at T = 0. Short marks on the axis are the largest radii
/// that the draws of a run can prove.
std::string certified_accuracy_figure(const std::vector<Run>& runs);

/// Shares of a run's images by certified radius; not certified images stand apart.
struct Histogram {
  struct Bar {
    double correct = 0.0;  ///< share of the images
    double wrong = 0.0;    ///< share of the images: certified, but not the right label
  };
  double width = 1.0;  ///< of a bin; bin i spans (i width, (i+1) width]
  Bar none;            ///< radius 0
  std::vector<Bar> bins;
};
Histogram histogram(const Run& run, double width, std::size_t bins);

/// The bins that hold all radii of all runs.
struct Bins {
  double width = 1.0;
  std::size_t count = 1;
};
Bins common_bins(const std::vector<Run>& runs);

std::string histogram_figure(const Run& run, std::size_t index, const Bins& bins,
                             double highest_share);

/// The scores of one image with their bounds and the reach of an attack, up to ten labels.
constexpr std::size_t most_labels = 10;
std::string stability_figure(const Stability& stability, const CertificateRecord& record,
                             const CertificateLogHeader& header, std::size_t index);

/// Loss, and accuracy on training (thin) and test images, by training step. Empty when no run has
/// any finite value of it.
std::string loss_figure(const std::vector<Run>& runs);
std::string training_accuracy_figure(const std::vector<Run>& runs);

}  // namespace pixeldp::report
