#include "trainers/evaluation.hpp"

#include <algorithm>
#include <cmath>

#include "engine/notice.hpp"
#include "pixeldp/certificate.hpp"
#include "pixeldp/network_sensitivity.hpp"
#include "pixeldp/regression/output_sampler.hpp"
#include "pixeldp/sampler.hpp"

namespace pixeldp {
namespace {

/// The error of the mean output.
double error_of_outputs(const TrainingConfig& config, const layers::Network& network,
                        const Dataset& test, const Stream& stream, const DrawRange& draws,
                        const ImageSource& source, std::int64_t images) {
  OutputSampler sampler(stream.device(), config.network, network);
  double squares = 0.0;
  sampler.run(images, draws, source, [&](std::int64_t image, const OutputStatistics& statistics) {
    const double error =
        statistics.mean(*config.network.output) - test.targets[static_cast<std::size_t>(image)];
    squares += error * error;
    return true;
  });
  return std::sqrt(squares / static_cast<double>(images));
}

/// Whether so many draws, if all agreed, would certify the construction bound. Where they would
/// not, a certified accuracy of zero would say nothing about the network.
bool draws_can_certify(const TrainingConfig& config, const layers::Network& network,
                       std::uint32_t draws) {
  return best_certificate(draws, network.classes(), config.calibration, {}, Selection::same_draws)
             .radius >= config.calibration.construction.value().bound;
}

/// Accuracy and certified accuracy of the votes.
void evaluate_votes(const TrainingConfig& config, const layers::Network& network,
                    const Dataset& test, const Stream& stream, const DrawRange& draws,
                    const ImageSource& source, std::int64_t images, Evaluation& evaluation) {
  Calibration measured = config.calibration;
  measured.sensitivity = evaluation.sensitivity;
  const bool certifies = config.noisy() && draws_can_certify(config, network, draws.count);
  Sampler sampler(stream, network);
  std::int64_t correct = 0, certified = 0;
  sampler.run(images, draws, source, [&](std::int64_t image, const ScoreStatistics& statistics) {
    const bool right =
        statistics.top_label(ScoreType::argmax) == test.labels[static_cast<std::size_t>(image)];
    correct += right;
    if (right && certifies)
      certified += certify(statistics, measured, {}).radius >= measured.construction.value().bound;
    return true;
  });
  const auto share = [&](std::int64_t count) {
    return static_cast<double>(count) / static_cast<double>(images);
  };
  evaluation.test_accuracy = share(correct);
  if (certifies) evaluation.certified_accuracy = share(certified);
}

}  // namespace

Evaluation evaluate(const TrainingConfig& config, const layers::Network& network,
                    const Dataset& test, const Stream& stream) {
  Evaluation evaluation;
  if (config.noisy()) evaluation.sensitivity = noise_sensitivity(config, network, stream);
  const DrawRange draws{
      .seed = config.seed,
      .tag = StreamTag::training,
      .count = static_cast<std::uint32_t>(config.noisy() ? config.evaluation_draws : 1)};
  const auto source = [&](std::int64_t image, float* pixels) {
    to_float(test, image, image + 1, pixels, static_cast<float>(config.pixel_shift));
    return test.image_id(image);
  };
  const std::int64_t images = std::min(config.evaluation_images, test.size());
  if (config.network.output) {
    evaluation.test_error = error_of_outputs(config, network, test, stream, draws, source, images);
  } else {
    evaluate_votes(config, network, test, stream, draws, source, images, evaluation);
  }
  return evaluation;
}

double noise_sensitivity(const TrainingConfig& config, const layers::Network& network,
                         const Stream& stream) {
  const Calibration& c = config.calibration;
  return network_sensitivity(network, c.attack_norm, c.mechanism, config.form, stream);
}

void compare_with_image(const TrainingConfig& config, const layers::Network& network,
                        double sensitivity, const char* subject) {
  const Calibration& c = config.calibration;
  const std::int64_t values = network.input().row_size();
  const double image = config.network.standardise
                           ? sensitivity_of(standardise_norms(values), c.attack_norm, c.mechanism)
                           : identity_sensitivity(values, c.attack_norm, c.mechanism);
  constexpr double negligible = 1.05;
  if (sensitivity <= negligible * image) return;
  warn(
      "{} a sensitivity of {:.4g} before the noise, where noise in the image (noise.after_layers: "
      "0) has {:.4g}: the same noise certifies smaller radii here",
      subject, sensitivity, image);
}

}  // namespace pixeldp
