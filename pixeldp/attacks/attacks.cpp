#include "pixeldp/attacks/attacks.hpp"

#include <algorithm>

#include "engine/error.hpp"

namespace pixeldp {

void attack(AttackedModel& model, std::span<ImageUnderAttack> images) {
  switch (model.options().kind) {
    case AttackKind::cw:
      return cw(model, images);
    case AttackKind::pgd:
      return pgd(model, images);
    case AttackKind::fgsm:
      return fgsm(model, images);
    case AttackKind::random:
      return random_search(model, images);
  }
  fail("not an attack: {}", static_cast<int>(model.options().kind));
}

std::vector<ImageUnderAttack*> not_reached(std::span<ImageUnderAttack> images) {
  std::vector<ImageUnderAttack*> left;
  for (ImageUnderAttack& image : images)
    if (image.found.empty()) left.push_back(&image);
  return left;
}

void judge_and_keep(AttackedModel& model, std::span<ImageUnderAttack* const> images,
                    Tensor& pictures, std::int64_t restart) {
  const std::vector<ScoreStatistics> votes = model.judge(pictures, images);
  for (std::size_t i = 0; i < images.size(); ++i) {
    ImageUnderAttack& image = *images[i];
    const std::span<const float> picture(pictures.row(static_cast<std::int64_t>(i)),
                                         image.pixels.size());
    const double far = distance(model.options().norm, image.pixels, picture);
    image.saw(model.outcome(votes[i], image.label), far);
    if (model.reached(votes[i], image.aimed.aim))
      image.keep({{picture.begin(), picture.end()}, far, restart});
  }
}

void shorten(AttackedModel& model, std::span<ImageUnderAttack> images) {
  constexpr int bisections = 10;
  std::vector<ImageUnderAttack*> all;
  for (ImageUnderAttack& image : images)
    if (!image.found.empty()) all.push_back(&image);
  if (all.empty()) return;
  // Of each image the farthest share of the way that fails, the nearest that succeeds, and its end.
  struct Way {
    double fails = 0.0, succeeds = 1.0;
    AttackedPicture end;
  };
  std::vector<Way> ways;
  for (const ImageUnderAttack* image : all) ways.push_back({.end = image->found.front()});
  Tensor pictures = model.pictures(all.size());
  const auto values = static_cast<std::size_t>(pictures.shape().row_size());
  for (int i = 0; i < bisections; ++i) {
    for (std::size_t k = 0; k < all.size(); ++k) {
      const double share = 0.5 * (ways[k].fails + ways[k].succeeds);
      const std::span<float> x(pictures.row(static_cast<std::int64_t>(k)), values);
      std::ranges::copy(ways[k].end.pixels, x.begin());
      shorten(all[k]->pixels, share, x);
    }
    const std::vector<ScoreStatistics> votes = model.check(pictures, all);
    for (std::size_t k = 0; k < all.size(); ++k) {
      const double share = 0.5 * (ways[k].fails + ways[k].succeeds);
      if (!model.surely_reached(votes[k], all[k]->aimed.aim)) {
        ways[k].fails = share;
        continue;
      }
      ways[k].succeeds = share;
      const std::span<const float> x(pictures.row(static_cast<std::int64_t>(k)), values);
      all[k]->keep({.pixels = {x.begin(), x.end()},
                    .distance = distance(model.options().norm, all[k]->pixels, x),
                    .restart = ways[k].end.restart});
    }
  }
}

}  // namespace pixeldp
