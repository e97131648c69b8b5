#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace pixeldp {

/// What the draws of an image have to lose together, of the logits z of each and their softmax
/// scores s. An attack makes it small; for a label to get away from:
///   cross-entropy  the mean over the draws of ln s[label]
///   mean-score     ln of the mean over the draws of s[label]
///   hinge          the mean over the draws of max(0, z[label] - the largest other logit)
///                  (Carlini and Wagner, "Towards evaluating the robustness of neural networks",
///                  2017)
///   margin         the same without max(0, .): goes on when the draws are wrong, until they are
///                  wrong by far
/// For a label to get to, each with the opposite sign before the maximum.
enum class DrawsLoss { cross_entropy, mean_score, hinge, margin };
inline constexpr DrawsLoss draws_losses[] = {DrawsLoss::cross_entropy, DrawsLoss::mean_score,
                                             DrawsLoss::hinge, DrawsLoss::margin};

/// "cross-entropy", "mean-score", "hinge", "margin".
std::string_view name(DrawsLoss loss);
DrawsLoss parse_draws_loss(std::string_view text);

/// What an attack wants of a prediction: another label than this one, or just this one.
struct Aim {
  int label = 0;
  bool targeted = false;

  bool reached_by(int prediction) const { return (prediction == label) == targeted; }
};

/// The loss of one image's draws.
struct DrawsLossValue {
  double loss = 0.0;
  /// What mean-score's gradients, as the draws give them, are to be divided by in the end; 1 for
  /// others.
  double divisor = 1.0;
  std::uint64_t reached = 0;        ///< draws that vote as the aim wants
  std::vector<double> mean_scores;  ///< over the draws, one per class
};

/// Adds up the loss of one image draw by draw, in their order: a fixed sequence of operations.
class DrawsLossSum {
 public:
  DrawsLossSum(DrawsLoss loss, Aim aim, std::uint64_t draws) : loss_(loss), aim_(aim) {
    value_.divisor = static_cast<double>(draws);
  }

  /// The next draw's logits.
  void add(std::span<const float> logits);
  /// Of all draws.
  DrawsLossValue value() const;

 private:
  DrawsLoss loss_;
  Aim aim_;
  DrawsLossValue value_;
  double weights_ = 0.0;
};

/// The gradient of the loss of an image in the logits of one of its `draws`, without the divisor.
void draws_loss_gradient(DrawsLoss loss, Aim aim, std::uint64_t draws,
                         std::span<const float> logits, std::span<float> gradient);

}  // namespace pixeldp
