#include <algorithm>
#include <cmath>

#include "pixeldp/attacks/attacks.hpp"

namespace pixeldp {
namespace {

constexpr double first_constant = 1e-3, no_upper = 1e10;
constexpr std::int64_t check_every = 10;

/// Pictures as values without bounds: pixel = lowest + (tanh(w) + 1) / 2.
double to_pixel(PixelRange pixels, double w) { return pixels.lowest + 0.5 * (std::tanh(w) + 1.0); }
double from_pixel(PixelRange pixels, double pixel) {
  // Black and white are at infinity: they are left out, as in Carlini and Wagner's program.
  const double t = 2.0 * (std::clamp(pixel - pixels.lowest, 0.0, 1.0)) - 1.0;
  return std::atanh(0.999999 * t);
}

/// Adam (Kingma and Ba, 2015) on the values of one picture.
class Adam {
 public:
  Adam(std::size_t values, double rate) : mean_(values), square_(values), rate_(rate) {}

  /// gradient(i) is the gradient in x[i].
  template <class Gradient>
  void step(std::vector<double>& x, const Gradient& gradient) {
    constexpr double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
    ++steps_;
    const double unbiased1 = 1.0 - std::pow(beta1, steps_),
                 unbiased2 = 1.0 - std::pow(beta2, steps_);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double g = gradient(i);
      mean_[i] += (1.0 - beta1) * (g - mean_[i]);
      square_[i] += (1.0 - beta2) * (g * g - square_[i]);
      x[i] -= rate_ * (mean_[i] / unbiased1) / (std::sqrt(square_[i] / unbiased2) + epsilon);
    }
  }

 private:
  std::vector<double> mean_, square_;
  double rate_, steps_ = 0.0;
};

/// The search of one image: for the constant, and for a picture with each.
class Search {
 public:
  Search(const AttackedModel& model, ImageUnderAttack& image, std::int64_t restart)
      : model_(model), image_(image), restart_(restart) {
    const AttackOptions& o = model.options();
    std::vector<float> start = image.pixels;
    if (restart > 0) {
      constexpr double apart = 0.2;
      sample_ball(o.norm, image.pixels, apart, model.pixels(), o.seed, image.aimed.id,
                  static_cast<std::uint32_t>(restart), start);
    }
    start_ = values_of(start);
  }

  ImageUnderAttack& image() const { return image_; }

  void begin() {
    const bool goes_on = model_.options().warm_start && !image_.found.empty();
    w_ = goes_on ? values_of(image_.found.front().pixels) : start_;
    adam_ = Adam(w_.size(), model_.options().rate);
    hit_ = false;
  }

  void write(float* picture) const {
    for (std::size_t i = 0; i < w_.size(); ++i)
      picture[i] = static_cast<float>(to_pixel(model_.pixels(), w_[i]));
  }

  void step(const float* picture, const float* gradient, const DrawsLossValue& value) {
    const AttackOptions& o = model_.options();
    // The mean score has no hinge of its own, but stops where the mean says what is wanted.
    const auto top = std::ranges::max_element(value.mean_scores) - value.mean_scores.begin();
    const bool done =
        o.loss == DrawsLoss::mean_score && image_.aimed.aim.reached_by(static_cast<int>(top));
    const double factor = done ? 0.0 : constant_ * o.draws;
    adam_.step(w_, [&](std::size_t i) {
      const double t = std::tanh(w_[i]);
      const double in_pixel =
          2.0 * (double{picture[i]} - double{image_.pixels[i]}) + factor * gradient[i];
      return in_pixel * 0.5 * (1.0 - t * t);
    });
  }

  /// A picture that reaches the aim by the attack's own draws, or does not.
  void take(std::span<const float> picture, const ScoreStatistics& votes) {
    const double far = distance(AttackNorm::l2, image_.pixels, picture);
    image_.saw(model_.outcome(votes, image_.label), far);
    if (!model_.surely_reached(votes, image_.aimed.aim)) return;
    hit_ = true;
    image_.keep({.pixels = {picture.begin(), picture.end()}, .distance = far, .restart = restart_});
  }

  /// The next constant: smaller after a success, larger after none.
  void end() {
    (hit_ ? upper_ : lower_) = hit_ ? std::min(upper_, constant_) : std::max(lower_, constant_);
    constant_ = upper_ < no_upper ? 0.5 * (lower_ + upper_) : 10.0 * constant_;
  }

 private:
  std::vector<double> values_of(std::span<const float> picture) const {
    std::vector<double> w;
    for (const float pixel : picture) w.push_back(from_pixel(model_.pixels(), pixel));
    return w;
  }

  const AttackedModel& model_;
  ImageUnderAttack& image_;
  std::int64_t restart_;
  std::vector<double> start_, w_;
  Adam adam_{0, 0.0};
  double constant_ = first_constant, lower_ = 0.0, upper_ = no_upper;
  bool hit_ = false;
};

/// Looks at the pictures that some draw of the gradient gets as wrong as is wanted: of those with
/// none, a vote of many has no chance. An attack on certified predictions looks at all, for what
/// else they are.
void check(AttackedModel& model, std::span<Search> searches, const Tensor& pictures,
           std::span<const DrawsLossValue> values) {
  std::vector<Search*> promising;
  for (std::size_t i = 0; i < searches.size(); ++i)
    if (values[i].reached > 0 || model.options().certified) promising.push_back(&searches[i]);
  if (promising.empty()) return;
  std::vector<const ImageUnderAttack*> images;
  Tensor looked_at = model.pictures(promising.size());
  const auto size = pictures.shape().row_size();
  for (std::size_t k = 0; k < promising.size(); ++k) {
    images.push_back(&promising[k]->image());
    std::copy_n(pictures.row(promising[k] - searches.data()), size,
                looked_at.row(static_cast<std::int64_t>(k)));
  }
  const std::vector<ScoreStatistics> votes = model.check(looked_at, images);
  for (std::size_t k = 0; k < promising.size(); ++k) {
    promising[k]->take(
        {looked_at.row(static_cast<std::int64_t>(k)), static_cast<std::size_t>(size)}, votes[k]);
  }
}

}  // namespace

void cw(AttackedModel& model, std::span<ImageUnderAttack> images) {
  const AttackOptions& o = model.options();
  std::vector<const ImageUnderAttack*> all;
  for (const ImageUnderAttack& image : images) all.push_back(&image);
  Tensor pictures = model.pictures(images.size()), gradients;
  for (std::int64_t restart = 0; restart < o.restarts; ++restart) {
    std::vector<Search> searches;
    for (ImageUnderAttack& image : images) searches.emplace_back(model, image, restart);
    for (std::int64_t k = 0; k < o.searches; ++k) {
      for (Search& search : searches) search.begin();
      for (std::int64_t step = 0; step < o.steps; ++step) {
        for (std::size_t i = 0; i < searches.size(); ++i)
          searches[i].write(pictures.row(static_cast<std::int64_t>(i)));
        const std::vector<DrawsLossValue> values =
            model.gradients(pictures, all, (restart * o.searches + k) * o.steps + step, gradients);
        if (step % check_every == check_every - 1 || step == o.steps - 1)
          check(model, searches, pictures, values);
        for (std::size_t i = 0; i < searches.size(); ++i) {
          const auto row = static_cast<std::int64_t>(i);
          searches[i].step(pictures.row(row), gradients.row(row), values[i]);
        }
      }
      for (Search& search : searches) search.end();
    }
  }
}

}  // namespace pixeldp
