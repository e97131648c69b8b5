#include <algorithm>

#include "pixeldp/attacks/attacks.hpp"

namespace pixeldp {

void fgsm(AttackedModel& model, std::span<ImageUnderAttack> images) {
  const std::vector<ImageUnderAttack*> all = not_reached(images);
  if (all.empty()) return;
  Tensor pictures = model.pictures(all.size());
  for (std::size_t i = 0; i < all.size(); ++i)
    std::ranges::copy(all[i]->pixels, pictures.row(static_cast<std::int64_t>(i)));
  descend(model, all, {.steps = 1, .share = 1.0}, pictures);
  judge_and_keep(model, all, pictures, 0);
}

}  // namespace pixeldp
