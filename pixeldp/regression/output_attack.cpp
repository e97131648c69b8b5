#include "pixeldp/regression/output_attack.hpp"

#include <algorithm>
#include <utility>

#include "engine/error.hpp"
#include "pixeldp/attacks/attacks.hpp"

namespace pixeldp {
namespace {

layers::Network& on_device(layers::Network& network, const Stream& stream) {
  network.move_to(stream, stream.device());
  return network;
}

/// The attacks that make sense here, by what they do from a start.
Descent descent_of(const AttackOptions& o) {
  switch (o.kind) {
    case AttackKind::pgd:
      return {.steps = o.steps, .step = o.step, .share = 2.5 / static_cast<double>(o.steps)};
    case AttackKind::fgsm:
      return {.steps = 1, .share = 1.0};
    case AttackKind::random:
      return {.steps = 0};
    case AttackKind::cw:
      break;
  }
  fail_usage(
      "--attack {}: it looks for the nearest picture of another label, and a regression network "
      "has "
      "no labels: take pgd, fgsm or random",
      name(o.kind));
}

}  // namespace

AttackOptions usual_output_attack(AttackKind kind, AttackNorm norm, std::optional<double> size,
                                  bool noisy) {
  AttackOptions o = usual_attack(kind, norm, size, std::nullopt, noisy);
  if (kind == AttackKind::pgd) o.restarts = 2;
  return o;
}

void check_output_attack(const AttackOptions& o, std::int64_t values,
                         const Calibration& calibration, bool radii) {
  descent_of(o);
  constexpr int any_classes = 2;  // of which only certified labels would know
  check_attack(o, values, any_classes, calibration, radii);
  const double gradients = 2.0 * static_cast<double>(o.restarts) *
                           static_cast<double>(std::max<std::int64_t>(o.steps, 1));
  if (gradients * o.draws >= double{first_check_draw})
    fail_usage("{} gradients of {} draws: the draws of an attack are numbered by 31 bits",
               gradients, o.draws);
}

/// Images under attack, and the best pictures so far.
struct OutputAttack::Batch {
  struct Best {
    std::vector<float> pixels = {};
    std::int64_t restart = -1;
    double mean = 0.0;  ///< by the draws of checks
  };

  Tensor images;
  std::vector<std::uint32_t> ids = {};
  std::vector<double> sizes = {};
  std::vector<Best> up = {}, down = {};

  std::size_t count() const { return ids.size(); }
  std::span<const float> picture(const Tensor& pictures, std::size_t i) const {
    return {pictures.row(static_cast<std::int64_t>(i)),
            static_cast<std::size_t>(images.shape().row_size())};
  }
  std::vector<Ball> balls() const {
    std::vector<Ball> balls;
    for (std::size_t i = 0; i < count(); ++i)
      balls.push_back({.centre = picture(images, i), .size = sizes[i], .id = ids[i]});
    return balls;
  }
};

OutputAttack::OutputAttack(Model& model, const AttackOptions& options, const Device& device,
                           const BodyPrecision& body)
    : model_(model),
      options_(options),
      stream_(device),
      sampler_(device, model.spec, model.network, 0, body),
      gradients_(stream_, on_device(model.network, stream_)) {}

std::vector<OutputStatistics> OutputAttack::draw(const Batch& batch, const Tensor& pictures,
                                                 const DrawRange& draws) {
  std::vector<OutputStatistics> all;
  sampler_.run(
      pictures.rows(), draws,
      [&](std::int64_t i, float* pixels) {
        std::copy_n(pictures.row(i), pictures.shape().row_size(), pixels);
        return batch.ids[static_cast<std::size_t>(i)];
      },
      [&](std::int64_t, const OutputStatistics& statistics) {
        all.push_back(statistics);
        return true;
      });
  draws_ += static_cast<std::uint64_t>(pictures.rows()) * draws.count;
  return all;
}

void OutputAttack::check(Batch& batch, const Tensor& pictures, std::int64_t restart) {
  const std::vector<OutputStatistics> drawn = draw(batch, pictures,
                                                   {.seed = options_.seed,
                                                    .tag = StreamTag::attack,
                                                    .first = first_check_draw,
                                                    .count = options_.check_draws});
  for (std::size_t i = 0; i < batch.count(); ++i) {
    const double mean = drawn[i].mean(*model_.spec.output);
    const std::span<const float> pixels = batch.picture(pictures, i);
    const auto keep = [&](Batch::Best& best, bool better) {
      if (!best.pixels.empty() && !better) return;
      best = {{pixels.begin(), pixels.end()}, restart, mean};
    };
    keep(batch.up[i], mean > batch.up[i].mean);
    keep(batch.down[i], mean < batch.down[i].mean);
  }
}

std::vector<AttackedOutput> OutputAttack::run(const Dataset& dataset,
                                              std::span<const std::int64_t> images,
                                              std::span<const double> sizes) {
  const auto count = images.size();
  Batch batch{.images = Tensor(model_.network.input().with_rows(std::ssize(images))),
              .sizes = {sizes.begin(), sizes.end()},
              .up = std::vector<Batch::Best>(count),
              .down = std::vector<Batch::Best>(count)};
  to_float(dataset, images, batch.images.data(), pixels().lowest);
  for (const std::int64_t image : images) batch.ids.push_back(dataset.image_id(image));
  check(batch, batch.images, -1);

  const std::vector<Ball> balls = batch.balls();
  const Descent descent = descent_of(options_);
  Tensor pictures(batch.images.shape());
  // What has no direction is good for both.
  for (const int direction : {1, -1}) {
    if (descent.steps == 0 && direction < 0) break;
    for (std::int64_t restart = 0; restart < options_.restarts; ++restart) {
      for (std::size_t i = 0; i < count; ++i)
        start_in_ball(options_, pixels(), balls[i], restart,
                      {pictures.row(static_cast<std::int64_t>(i)), balls[i].centre.size()});
      const std::int64_t search = restart + (direction > 0 ? 0 : options_.restarts);
      Descent own = descent;
      own.number = search * descent.steps;
      descend(
          options_.norm, pixels(), balls, own,
          [&](std::int64_t number, Tensor& gradients) {
            say_if_interrupted(said_);
            gradient_rows_ += count * options_.draws;
            gradients_.run(pictures, batch.ids, model_.spec.output->kind,
                           {.seed = options_.seed,
                            .tag = StreamTag::attack,
                            .first = static_cast<std::uint32_t>(number) * options_.draws,
                            .count = options_.draws},
                           gradients);
            if (direction < 0) return;
            // A descent makes small what is to be large.
            for (std::int64_t i = 0; i < gradients.size(); ++i) gradients.data()[i] *= -1.0f;
          },
          pictures);
      check(batch, pictures, restart);
    }
  }

  std::vector<AttackedOutput> all(count);
  const auto judge = [&](const Tensor& judged, auto take) {
    const auto drawn =
        draw(batch, judged,
             {.seed = options_.seed, .tag = StreamTag::judgement, .count = options_.judge_draws});
    for (std::size_t i = 0; i < count; ++i) take(i, drawn[i]);
  };
  judge(batch.images, [&](std::size_t i, const OutputStatistics& drawn) {
    all[i].record = {.image = images[i],
                     .label = dataset.targets[static_cast<std::size_t>(images[i])],
                     .size = sizes[i],
                     .clean = {.statistics = drawn}};
  });
  const auto judge_best = [&](std::vector<Batch::Best>& best,
                              std::vector<float> AttackedOutput::*to,
                              JudgedPicture OutputAttackRecord::*of) {
    for (std::size_t i = 0; i < count; ++i)
      std::ranges::copy(best[i].pixels, pictures.row(static_cast<std::int64_t>(i)));
    judge(pictures, [&](std::size_t i, const OutputStatistics& drawn) {
      all[i].record.*of = {.distance = distance(options_.norm, balls[i].centre, best[i].pixels),
                           .restart = best[i].restart,
                           .statistics = drawn};
      all[i].*to = std::move(best[i].pixels);
    });
  };
  judge_best(batch.up, &AttackedOutput::up, &OutputAttackRecord::up);
  judge_best(batch.down, &AttackedOutput::down, &OutputAttackRecord::down);
  return all;
}

}  // namespace pixeldp
