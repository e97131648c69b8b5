#include <algorithm>

#include "pixeldp/attacks/attacks.hpp"

namespace pixeldp {
namespace {

Ball ball_of(const ImageUnderAttack& image) {
  return {.centre = image.pixels, .size = image.size, .id = image.aimed.id};
}

}  // namespace

void start_in_ball(const AttackOptions& o, PixelRange pixels, const Ball& ball,
                   std::int64_t restart, std::span<float> x) {
  const auto sample = [&](double size) {
    sample_ball(o.norm, ball.centre, size, pixels, o.seed, ball.id,
                static_cast<std::uint32_t>(restart), x);
  };
  if (o.kind == AttackKind::random) return sample(ball.size);
  std::ranges::copy(ball.centre, x.begin());
  if (o.kind != AttackKind::pgd || restart == 0) return;
  sample(o.norm == AttackNorm::linf ? std::min(ball.size, 1.0 / 256) : ball.size / 2);
}

void descend(AttackNorm norm, PixelRange pixels, std::span<const Ball> balls,
             const Descent& descent, const PictureGradients& gradients_of, Tensor& pictures) {
  const auto values = static_cast<std::size_t>(pictures.shape().row_size());
  Tensor gradients;
  for (std::int64_t step = 0; step < descent.steps; ++step) {
    gradients_of(descent.number + step, gradients);
    for (std::size_t i = 0; i < balls.size(); ++i) {
      const auto row = static_cast<std::int64_t>(i);
      const std::span<float> x(pictures.row(row), values);
      const double length = descent.step > 0.0 ? descent.step : descent.share * balls[i].size;
      step_against(norm, {gradients.row(row), values}, length, x);
      project(norm, balls[i].centre, balls[i].size, pixels, x);
    }
  }
}

void descend(AttackedModel& model, std::span<ImageUnderAttack* const> images,
             const Descent& descent, Tensor& pictures) {
  std::vector<Ball> balls;
  for (const ImageUnderAttack* image : images) balls.push_back(ball_of(*image));
  descend(
      model.options().norm, model.pixels(), balls, descent,
      [&](std::int64_t number, Tensor& gradients) {
        model.gradients(pictures, images, number, gradients);
      },
      pictures);
}

void pgd(AttackedModel& model, std::span<ImageUnderAttack> images) {
  const AttackOptions& o = model.options();
  for (std::int64_t restart = 0; restart < o.restarts; ++restart) {
    const std::vector<ImageUnderAttack*> left = not_reached(images);
    if (left.empty()) return;
    Tensor pictures = model.pictures(left.size());
    for (std::size_t i = 0; i < left.size(); ++i)
      start_in_ball(o, model.pixels(), ball_of(*left[i]), restart,
                    {pictures.row(static_cast<std::int64_t>(i)), left[i]->pixels.size()});
    descend(model, left,
            {.steps = o.steps,
             .step = o.step,
             .share = 2.5 / static_cast<double>(o.steps),
             .number = restart * o.steps},
            pictures);
    judge_and_keep(model, left, pictures, restart);
  }
}

}  // namespace pixeldp
