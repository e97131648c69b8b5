#include <algorithm>

#include "pixeldp/attacks/attacks.hpp"

namespace pixeldp {
namespace {

/// Where a restart begins: at the image, or near it as the paper's program does: anywhere within
/// half the size, or within a grey level of every pixel.
void start(const AttackedModel& model, const ImageUnderAttack& image, std::int64_t restart,
           std::span<float> x) {
  std::ranges::copy(image.pixels, x.begin());
  if (restart == 0) return;
  const AttackOptions& o = model.options();
  const double size = o.norm == AttackNorm::linf ? std::min(image.size, 1.0 / 256) : image.size / 2;
  sample_ball(o.norm, image.pixels, size, model.pixels(), o.seed, image.aimed.id,
              static_cast<std::uint32_t>(restart), x);
}

}  // namespace

void descend(AttackedModel& model, std::span<ImageUnderAttack* const> images,
             const Descent& descent, Tensor& pictures) {
  const AttackNorm norm = model.options().norm;
  const auto values = static_cast<std::size_t>(pictures.shape().row_size());
  Tensor gradients;
  for (std::int64_t step = 0; step < descent.steps; ++step) {
    model.gradients(pictures, images, descent.number + step, gradients);
    for (std::size_t i = 0; i < images.size(); ++i) {
      const auto row = static_cast<std::int64_t>(i);
      const ImageUnderAttack& image = *images[i];
      const std::span<float> x(pictures.row(row), values);
      const double length = descent.step > 0.0 ? descent.step : descent.share * image.size;
      step_against(norm, {gradients.row(row), values}, length, x);
      project(norm, image.pixels, image.size, model.pixels(), x);
    }
  }
}

void pgd(AttackedModel& model, std::span<ImageUnderAttack> images) {
  const AttackOptions& o = model.options();
  for (std::int64_t restart = 0; restart < o.restarts; ++restart) {
    const std::vector<ImageUnderAttack*> left = not_reached(images);
    if (left.empty()) return;
    Tensor pictures = model.pictures(left.size());
    for (std::size_t i = 0; i < left.size(); ++i)
      start(model, *left[i], restart,
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
