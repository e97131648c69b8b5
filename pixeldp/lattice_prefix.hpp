#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/inference.hpp"
#include "pixeldp/model.hpp"
#include "pixeldp/sensitivity.hpp"

namespace pixeldp {

/// The layers before the noise in whole numbers: for an image of 8 bits u, n = W u + c steps of a
/// lattice (kernels/lattice_noise.hpp), and of these what a ReLU leaves. W and c are those of the
/// layers rounded to steps, so that n is exact, on every processor, and the theorem is about it.
class LatticePrefix {
 public:
  /// Of a network whose image, scaled channel by channel or not, goes through one convolution or
  /// none before Gaussian or Laplace noise. Pixels are u / 255 + pixel_shift. Throws a usage Error
  /// that names the layer for any other, and where the noise is too small, or too large, for the
  /// lattice.
  LatticePrefix(const kernels::NetworkPlan& network, double pixel_shift);

  /// One image, [H, W, C]. Throws an Error for a pixel that is none of 8 bits. Several threads may
  /// run it at once.
  void run(const float* pixels, std::int32_t* steps) const;

  std::int64_t elements() const { return std::ssize(constants_); }
  /// In the unit of the noise scale.
  double step() const { return step_; }
  /// Upper bounds of the change of n steps, in that unit, for a change of the image by 1.
  NormTable norms(SensitivityForm form) const;

 private:
  void check_range() const;

  double step_ = 0.0;
  float pixel_shift_ = 0.0f;
  std::int64_t image_size_ = 0;
  kernels::Conv2dShape shape_ = {};  // of no convolution: 1x1, of each channel by itself
  bool convolves_ = false, rectifies_ = false;
  std::vector<std::int32_t> weight_;     // OIHW; without a convolution of each channel
  std::vector<std::int32_t> taps_;       // the same as [H, W, I, O]
  std::vector<std::int32_t> constants_;  // of each element
};

/// What a model's certificates on a lattice are about.
struct LatticeModel {
  std::shared_ptr<const LatticePrefix> prefix;
  NormTable norms;
  /// The model's, with the sensitivity of the rounded weights, and the total variation between the
  /// noise on the lattice and that of the theorem.
  Calibration calibration;
};

/// Throws the Errors of check_certifiable and LatticePrefix, and one where rounding the weights
/// makes the sensitivity larger than the model's by more than a hundredth.
LatticeModel on_lattice(const Model& model);

/// The prefix that such a calibration is of; null where its noise is added in floats.
std::shared_ptr<const LatticePrefix> lattice_of(const Calibration& calibration, const Model& model);

}  // namespace pixeldp
