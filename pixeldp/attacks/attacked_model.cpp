#include "pixeldp/attacks/attacked_model.hpp"

#include <algorithm>
#include <utility>

#include "engine/interrupt.hpp"
#include "engine/notice.hpp"
#include "pixeldp/lattice_prefix.hpp"
#include "pixeldp/quantisation.hpp"

namespace pixeldp {
namespace {

layers::Network& moved(layers::Network& network, const Stream& stream) {
  network.move_to(stream, stream.device());
  return network;
}

std::uint64_t votes_for(const ScoreStatistics& votes, int label) {
  return votes.votes[static_cast<std::size_t>(label)];
}

/// The label with the most votes of all but one.
int strongest_other(const ScoreStatistics& votes, int label) {
  return static_cast<int>(largest_other(votes.votes, static_cast<std::size_t>(label)));
}

/// Whether one label's draws outnumber another's by more than chance has at that probability.
bool outnumbers(const ScoreStatistics& votes, int label, int other, double failure) {
  const std::uint64_t more = votes_for(votes, label), all = more + votes_for(votes, other);
  return all > 0 && clopper_pearson_lower(more, all, failure) > 0.5;
}

}  // namespace

void ImageUnderAttack::keep(AttackedPicture picture) {
  constexpr std::size_t most = 12;
  const auto at = std::ranges::upper_bound(found, picture.distance, {}, &AttackedPicture::distance);
  found.insert(at, std::move(picture));
  if (found.size() > most) found.pop_back();
}

void ImageUnderAttack::saw(Outcome outcome, double distance) {
  std::optional<double>& of_outcome = nearest[static_cast<std::size_t>(outcome)];
  of_outcome = std::min(of_outcome.value_or(distance), distance);
}

AttackedModel::AttackedModel(Model& model, const Calibration& calibration,
                             const AttackOptions& options, const Device& device,
                             const BodyPrecision& body)
    : model_(model),
      calibration_(calibration),
      options_(options),
      stream_(device),
      sampler_(stream_, model.network, 0, body, lattice_of(calibration, model)),
      gradients_(stream_, moved(model.network, stream_)) {}

Tensor AttackedModel::pictures(std::size_t count) const {
  return Tensor(model_.network.input().with_rows(static_cast<std::int64_t>(count)));
}

std::vector<DrawsLossValue> AttackedModel::gradients(
    const Tensor& pictures, std::span<const ImageUnderAttack* const> images, std::int64_t number,
    Tensor& gradients) {
  say_if_interrupted(said_);
  std::vector<AimedImage> aimed;
  for (const ImageUnderAttack* image : images) aimed.push_back(image->aimed);
  gradient_rows_ += images.size() * options_.draws;
  return gradients_.run(pictures, aimed, options_.loss,
                        {.seed = options_.seed,
                         .tag = StreamTag::attack,
                         .first = static_cast<std::uint32_t>(number) * options_.draws,
                         .count = options_.draws},
                        gradients);
}

void say_if_interrupted(bool& said) {
  if (!interrupted() || std::exchange(said, true)) return;
  notice("finishing the images in hand; another signal ends the program at once");
}

std::vector<ScoreStatistics> AttackedModel::votes(Tensor& pictures,
                                                  std::span<const ImageUnderAttack* const> images,
                                                  const DrawRange& draws) {
  const auto values = static_cast<std::size_t>(pictures.shape().row_size());
  for (std::size_t i = 0; calibration_.lattice_step > 0.0 && i < images.size(); ++i)
    round_to_8_bits(images[i]->pixels, pixels(),
                    {pictures.row(static_cast<std::int64_t>(i)), values});
  std::vector<ScoreStatistics> all;
  sampler_.run(
      std::ssize(images), draws,
      [&](std::int64_t i, float* pixels) {
        std::copy_n(pictures.row(i), pictures.shape().row_size(), pixels);
        return images[static_cast<std::size_t>(i)]->aimed.id;
      },
      [&](std::int64_t, const ScoreStatistics& statistics) {
        all.push_back(statistics);
        return true;
      });
  votes_cast_ += images.size() * draws.count;
  return all;
}

std::vector<ScoreStatistics> AttackedModel::check(Tensor& pictures,
                                                  std::span<const ImageUnderAttack* const> images) {
  return votes(pictures, images,
               {.seed = options_.seed,
                .tag = StreamTag::attack,
                .first = first_check_draw,
                .count = options_.check_draws});
}

std::vector<ScoreStatistics> AttackedModel::judge(Tensor& pictures,
                                                  std::span<const ImageUnderAttack* const> images) {
  return votes(pictures, images,
               {.seed = options_.seed, .tag = StreamTag::judgement, .count = options_.judge_draws});
}

Outcome AttackedModel::outcome(const ScoreStatistics& votes, int label) const {
  const bool right = votes.top_label(ScoreType::argmax) == label;
  if (!options_.certified) return right ? Outcome::right : Outcome::wrong;
  const double radius = certify(votes, calibration_, options_.certificate).radius;
  const bool certified = radius > 0.0 && radius >= *options_.certified;
  if (right) return certified ? Outcome::right_certified : Outcome::right;
  return certified ? Outcome::wrong_certified : Outcome::wrong;
}

bool AttackedModel::reached(const ScoreStatistics& votes, const Aim& aim) const {
  if (!aim.reached_by(votes.top_label(ScoreType::argmax))) return false;
  if (!options_.certified) return true;
  const double radius = certify(votes, calibration_, options_.certificate).radius;
  return radius > 0.0 && radius >= *options_.certified;
}

bool AttackedModel::surely_reached(const ScoreStatistics& votes, const Aim& aim) const {
  if (!reached(votes, aim)) return false;
  if (options_.certified || calibration_.mechanism == Mechanism::none) return true;
  const int other = strongest_other(votes, aim.label);
  return aim.targeted ? outnumbers(votes, aim.label, other, 0.01)
                      : outnumbers(votes, other, aim.label, 0.01);
}

bool shows_another(const ScoreStatistics& votes, int label, double failure) {
  return outnumbers(votes, strongest_other(votes, label), label, failure / (votes.classes() - 1));
}

bool more_than_chance(std::uint64_t failures, std::uint64_t certificates, double alpha) {
  return failures > 0 && clopper_pearson_lower(failures, certificates, 0.01) > alpha;
}

std::uint64_t explained_by_chance(std::uint64_t certificates, double alpha) {
  std::uint64_t explained = 0;
  while (explained < certificates && !more_than_chance(explained + 1, certificates, alpha))
    ++explained;
  return explained;
}

}  // namespace pixeldp
