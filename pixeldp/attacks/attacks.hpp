#pragma once

#include <functional>
#include <span>

#include "pixeldp/attacks/attacked_model.hpp"

namespace pixeldp {

// Each attack looks for pictures of all images at once, by the options of the model under attack,
// and leaves what it finds in ImageUnderAttack::found. What it finds of an image depends on that
// image and the options only.

/// Runs the attack that the options name.
void attack(AttackedModel& model, std::span<ImageUnderAttack> images);

/// Carlini and Wagner ("Towards evaluating the robustness of neural networks", 2017), with the
/// losses of many draws: pictures (tanh(w) + 1) / 2 within the range of pixels, of which Adam
/// makes distance^2 + c * draws * loss small, for constants c by binary search. Finds all successes
/// of its checks, every tenth step; not the image's size, but its distance is what counts.
void cw(AttackedModel& model, std::span<ImageUnderAttack> images);

/// Projected gradient descent (Madry et al. 2018): from the image, then from random places near it,
/// until the judge says that the aim is reached.
void pgd(AttackedModel& model, std::span<ImageUnderAttack> images);

/// One step of a whole size from the image (Goodfellow et al. 2015, for the infinity-norm).
void fgsm(AttackedModel& model, std::span<ImageUnderAttack> images);

/// Pictures drawn uniformly from the ball, until the judge says that the aim is reached.
void random_search(AttackedModel& model, std::span<ImageUnderAttack> images);

/// Looks for nearer pictures between the image and the nearest one that was found, by bisection.
void shorten(AttackedModel& model, std::span<ImageUnderAttack> images);

// What they are made of.

/// Images whose aim no picture has reached.
std::vector<ImageUnderAttack*> not_reached(std::span<ImageUnderAttack> images);

/// Lets the judge look at a picture of each image, and keeps those that reach the aim.
void judge_and_keep(AttackedModel& model, std::span<ImageUnderAttack* const> images,
                    Tensor& pictures, std::int64_t restart);

/// An image, the number that addresses its random numbers, and how far a picture may be from it.
struct Ball {
  std::span<const float> centre = {};
  double size = 0.0;
  std::uint32_t id = 0;
};

/// Where a restart begins: of pgd at the image, or near it as the paper's program does: anywhere
/// within half the size, or within a grey level of every pixel; of random anywhere in the ball;
/// else at the image.
void start_in_ball(const AttackOptions& options, PixelRange pixels, const Ball& ball,
                   std::int64_t restart, std::span<float> x);

/// Moves pictures down the gradients, step by step, within the balls around their images. `number`
/// is that of the first gradient; a step has the given length, or a share of the image's size.
struct Descent {
  std::int64_t steps = 1;
  double step = 0.0;   ///< 0: share * size
  double share = 0.0;  ///< of the size
  std::int64_t number = 0;
};
void descend(AttackedModel& model, std::span<ImageUnderAttack* const> images,
             const Descent& descent, Tensor& pictures);

/// The same by gradients number `number` of anything, in the pictures as they are.
using PictureGradients = std::function<void(std::int64_t number, Tensor& gradients)>;
void descend(AttackNorm norm, PixelRange pixels, std::span<const Ball> balls,
             const Descent& descent, const PictureGradients& gradients_of, Tensor& pictures);

}  // namespace pixeldp
