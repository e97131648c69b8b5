#pragma once

#include <array>
#include <optional>
#include <vector>

#include "pixeldp/attacks/attack.hpp"
#include "pixeldp/attacks/ball.hpp"
#include "pixeldp/image_gradients.hpp"
#include "pixeldp/model.hpp"
#include "pixeldp/sampler.hpp"

namespace pixeldp {

/// What became of a prediction.
enum class Outcome { right_certified, right, wrong, wrong_certified };
inline constexpr std::size_t outcomes = 4;

/// A picture that may be what an attack looks for.
struct AttackedPicture {
  std::vector<float> pixels;
  double distance = 0.0;      ///< from the image, in the norm of the attack
  std::int64_t restart = -1;  ///< the place that it was found from; -1: it is the image itself
};

/// An image, what is wanted of it, and what an attack has found so far.
struct ImageUnderAttack {
  AimedImage aimed = {};
  int label = 0;                   ///< the true one
  std::vector<float> pixels = {};  ///< [H, W, C], as the network takes them
  double size = 0.0;               ///< how far a picture may be
  /// Pictures that reached the aim, nearest first: not all, but the nearest dozen.
  std::vector<AttackedPicture> found = {};
  /// The distance of the nearest picture of each Outcome that was looked at.
  std::array<std::optional<double>, outcomes> nearest = {};

  void keep(AttackedPicture picture);
  /// A picture at this distance was looked at.
  void saw(Outcome outcome, double distance);
};

/// The classifier under attack: its gradients, its votes, and when it is beaten.
class AttackedModel {
 public:
  /// The model must outlive it; its parameters move to the device. `body` says how votes are
  /// computed after the noise; gradients are fp32's. Where the calibration's noise is on a lattice,
  /// so is that of votes, and pictures are of 8 bits.
  AttackedModel(Model& model, const Calibration& calibration, const AttackOptions& options,
                const Device& device, const BodyPrecision& body);

  const AttackOptions& options() const { return options_; }
  PixelRange pixels() const { return {static_cast<float>(model_.pixel_shift)}; }
  /// Memory for so many pictures.
  Tensor pictures(std::size_t count) const;

  /// Gradients [N, H, W, C] of the options' loss in pictures of these images. `number` counts the
  /// gradients that an attack takes of an image: each has draws of its own.
  std::vector<DrawsLossValue> gradients(const Tensor& pictures,
                                        std::span<const ImageUnderAttack* const> images,
                                        std::int64_t number, Tensor& gradients);

  /// Votes on pictures [N, H, W, C] by draws that no gradient sees. On a lattice pictures are
  /// rounded to 8 bits first (round_to_8_bits), and left so.
  std::vector<ScoreStatistics> check(Tensor& pictures,
                                     std::span<const ImageUnderAttack* const> images);
  /// By draws that no attack sees.
  std::vector<ScoreStatistics> judge(Tensor& pictures,
                                     std::span<const ImageUnderAttack* const> images);

  Outcome outcome(const ScoreStatistics& votes, int label) const;
  /// Whether votes are what the attack wants.
  bool reached(const ScoreStatistics& votes, const Aim& aim) const;
  /// Whether other draws are likely to say so, too: the vote is not a close one.
  bool surely_reached(const ScoreStatistics& votes, const Aim& aim) const;

  std::uint64_t gradient_rows() const { return gradient_rows_; }
  std::uint64_t votes_cast() const { return votes_cast_; }

 private:
  std::vector<ScoreStatistics> votes(Tensor& pictures,
                                     std::span<const ImageUnderAttack* const> images,
                                     const DrawRange& draws);
  Model& model_;
  Calibration calibration_;
  AttackOptions options_;
  Stream stream_;
  Sampler sampler_;
  ImageGradients gradients_;
  std::uint64_t gradient_rows_ = 0, votes_cast_ = 0;
  bool said_ = false;
};

/// Whether votes show that the label's expected score is below another's: at a failure probability
/// of `failure`, by a sign test of the draws for either, corrected for choosing the other.
bool shows_another(const ScoreStatistics& votes, int label, double failure);

/// Whether so many failures of certificates that each fail with probability alpha at most are more
/// than chance has in one of a hundred such tests.
bool more_than_chance(std::uint64_t failures, std::uint64_t certificates, double alpha);

/// The most failures of so many certificates that are not.
std::uint64_t explained_by_chance(std::uint64_t certificates, double alpha);

/// Says why a signal does not end the attack at once, unless that was `said`, which it is then.
void say_if_interrupted(bool& said);

}  // namespace pixeldp
