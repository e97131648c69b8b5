#include "pixeldp/attacks/attacks.hpp"

namespace pixeldp {

void random_search(AttackedModel& model, std::span<ImageUnderAttack> images) {
  const AttackOptions& o = model.options();
  for (std::int64_t sample = 0; sample < o.restarts; ++sample) {
    const std::vector<ImageUnderAttack*> left = not_reached(images);
    if (left.empty()) return;
    Tensor pictures = model.pictures(left.size());
    for (std::size_t i = 0; i < left.size(); ++i) {
      const ImageUnderAttack& image = *left[i];
      sample_ball(o.norm, image.pixels, image.size, model.pixels(), o.seed, image.aimed.id,
                  static_cast<std::uint32_t>(sample),
                  {pictures.row(static_cast<std::int64_t>(i)), image.pixels.size()});
    }
    judge_and_keep(model, left, pictures, sample);
  }
}

}  // namespace pixeldp
