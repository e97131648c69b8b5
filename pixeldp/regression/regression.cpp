#include "pixeldp/regression/regression.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "engine/error.hpp"
#include "engine/interrupt.hpp"
#include "engine/io/file.hpp"
#include "engine/progress.hpp"
#include "pixeldp/float_noise.hpp"
#include "pixeldp/model.hpp"
#include "pixeldp/regression/output_sampler.hpp"
#include "pixeldp/shared_certification.hpp"
#include "pixeldp/shared_draws.hpp"

namespace pixeldp {
namespace {

/// Draws images by all ranks, and gives each to `take`, in their order and at every rank; ends
/// early when one is interrupted (sample_by_ranks).
void sample_outputs(Communicator& ranks, OutputSampler& sampler, const Model& model,
                    const Dataset& dataset, std::span<const std::int64_t> images,
                    const RegressionLogHeader& header,
                    const std::function<void(RegressionRecord)>& take) {
  const auto image_at = [&](std::int64_t index) { return images[static_cast<std::size_t>(index)]; };
  sample_by_ranks<OutputSampler, OutputStatistics>(
      ranks, sampler, std::ssize(images),
      {.seed = header.seed,
       .tag = StreamTag::estimation,
       .count = static_cast<std::uint32_t>(header.draws),
       .interruptible = true},
      [&](std::int64_t index, float* pixels) {
        const std::int64_t image = image_at(index);
        to_float(dataset, image, image + 1, pixels, static_cast<float>(model.pixel_shift));
        return dataset.image_id(image);
      },
      {},
      [&](std::int64_t index, const OutputStatistics& statistics) {
        const std::int64_t image = image_at(index);
        take({.image = image,
              .label = dataset.targets[static_cast<std::size_t>(image)],
              .statistics = statistics});
      });
}

void check_question(const char* what, const std::optional<double>& value) {
  if (value && !(std::isfinite(*value) && *value > 0.0))
    fail_usage("{} {}: it must be a finite number above 0", what, *value);
}

/// Whether a log is to be continued that says nothing of what its certificates are charged: it
/// stays so.
bool was_begun_uncharged(const std::filesystem::path& path) {
  const auto line = first_line(path);
  return line && is_regression_log_text(*line) &&
         !is_charged(parse_regression_log(*line, path.string()).header.calibration);
}

}  // namespace

RegressionLogHeader regression_header(const Model& model, const std::string& model_sha256,
                                      const Dataset& dataset, const RegressionTask& task) {
  if (!model.spec.output)
    fail_usage("model '{}' is a classifier: it predicts no number", model.name);
  const Calibration certifiable = check_certifiable(model);
  const Calibration calibration = task.charged ? charged(certifiable, model) : certifiable;
  check_images_fit(model, dataset);
  check_output_options(task.options, *model.spec.output, calibration);
  if (task.draws == 0) fail_usage("the number of draws must be at least 1");
  check_question("--radius", task.radius);
  check_question("--move", task.move);
  if (task.move && model.spec.output->bounded() && *task.move >= model.spec.output->width())
    fail_usage("--move {}: no output ever moves farther than its range, from {} to {}", *task.move,
               model.spec.output->low, model.spec.output->high);
  return {.model_sha256 = model_sha256,
          .dataset = dataset.name,
          .dataset_sha256 = dataset.sha256(),
          .split = dataset.split,
          .output = *model.spec.output,
          .calibration = calibration,
          .options = task.options,
          .function = body_function(task.device, {task.precision, nullptr, task.algorithm},
                                    lower(Stream(), model.network).body),
          .seed = task.seed,
          .draws = task.draws,
          .radius = task.radius,
          .move = task.move,
          .ledger = {task.options}};
}

RegressionSummary certify_outputs(const Model& model, const std::string& model_sha256,
                                  const Dataset& dataset, const RegressionTask& given,
                                  const std::filesystem::path& path) {
  RegressionTask task = given;
  if (task.resume && was_begun_uncharged(path)) task.charged = false;
  check_images(dataset, task.images);
  const RegressionLogHeader mine = regression_header(model, model_sha256, dataset, task);
  check_ranks(*task.ranks, mine, task.images);
  // Before the log is touched: the device may be another.
  OutputSampler sampler(task.device, model.spec, model.network, task.micro_batch,
                        {task.precision, nullptr, task.algorithm});
  std::vector<std::int64_t> images;
  for (std::int64_t place = 0; place < task.images.count(); ++place)
    images.push_back(task.images[place]);
  auto result = certify_shared<RegressionLogWriter>(
      {*task.ranks, path, task.resume, model.name, images}, mine,
      [&](Claims& claims, const RegressionLogHeader& header,
          const std::function<void(RegressionRecord)>& keep) {
        std::uint64_t draws = 0;
        const auto take = [&](RegressionRecord record) {
          derive(header, record);
          draws += record.statistics.draws;
          keep(std::move(record));
        };
        if (!worth_sharing(*task.ranks, claims.images().size(), task.draws)) {
          while (const auto claimed = claims.next())
            sample_outputs(Communicator::alone(), sampler, model, dataset, *claimed, header, take);
          return draws;
        }
        for (std::size_t image = 0; image < claims.images().size(); ++image) {
          bool done = false;
          sample_outputs(*task.ranks, sampler, model, dataset, claims.images().subspan(image, 1),
                         header, [&](RegressionRecord record) {
                           done = true;
                           if (task.ranks->first()) take(std::move(record));
                         });
          if (!done) break;  // interrupted
        }
        return draws;
      });
  return {.header = std::move(result.header),
          .records = std::move(result.records),
          .new_draws = result.new_draws,
          .seconds = result.seconds};
}

Verification verify_outputs(const RegressionLog& log, const Model& model,
                            const std::string& model_sha256, const Dataset& dataset,
                            const VerificationOptions& o) {
  const RegressionLogHeader& header = log.header;
  check_share(o);
  const auto precision = parse_precision(header.function.precision);
  const auto algorithm = algorithm_of(header.function, o.device);
  RegressionLogHeader mine = regression_header(model, model_sha256, dataset,
                                               {.device = o.device,
                                                .options = header.options,
                                                .precision = precision,
                                                .algorithm = algorithm,
                                                .draws = static_cast<std::uint32_t>(header.draws),
                                                .seed = header.seed,
                                                .radius = header.radius,
                                                .move = header.move,
                                                .charged = is_charged(header.calibration)});
  mine.ledger = header.ledger;
  if (const std::string other = header.difference(mine); !other.empty())
    fail("the log cannot be drawn again here: it is of other conditions (the log's first):{}",
         other);
  const auto chosen = chosen_records(log.records, dataset, o);
  Verification verification;
  for (const auto& [image, record] : chosen) verification.images.push_back(image);
  OutputSampler sampler(o.device, model.spec, model.network, o.micro_batch,
                        {precision, nullptr, algorithm});
  ProgressBar progress("verify", std::ssize(chosen), "images", 0);
  const auto start = std::chrono::steady_clock::now();
  std::size_t done = 0;
  sample_outputs(Communicator::alone(), sampler, model, dataset, verification.images, header,
                 [&](const RegressionRecord& drawn) {
                   const RegressionRecord& of_log = *chosen.at(drawn.image);
                   if (of_log.label != drawn.label)
                     verification.differences.push_back(
                         fmt::format("image {}: label {} in the log, {} in the data set",
                                     drawn.image, of_log.label, drawn.label));
                   if (of_log.statistics != drawn.statistics)
                     verification.differences.push_back(
                         fmt::format("image {}: other sums or counts than the log's", drawn.image));
                   verification.draws += drawn.statistics.draws;
                   progress.update(static_cast<std::int64_t>(++done));
                 });
  progress.finish();
  if (done < chosen.size())
    fail_interrupted("interrupted after {} of {} images; start again", done, chosen.size());
  verification.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return verification;
}

std::string conditions_text(const RegressionLogHeader& header) {
  return fmt::format(
      "{} certificate of the {} of {} outputs from {} to {}, {} bounds, alpha {} per image{}, {} "
      "draws, {} after the noise",
      name(header.options.kind), name(header.options.prediction), name(header.output.kind),
      header.output.low, header.output.high, name(header.options.bound), header.options.alpha,
      header.reserved() ? "" : " (an exploration: chosen when the draws were known)", header.draws,
      function_text(header.function));
}

RegressionMetrics regression_metrics(std::span<const RegressionRecord> records) {
  RegressionMetrics metrics;
  for (const RegressionRecord& record : records) {
    const double error = record.prediction - record.label;
    metrics.root_mean_square += error * error;
    metrics.mean_error += std::abs(error);
  }
  const auto count = static_cast<double>(records.size());
  metrics.root_mean_square = std::sqrt(metrics.root_mean_square / count);
  metrics.mean_error /= count;
  return metrics;
}

ReachSummary reach_summary(const RegressionLogHeader& header,
                           std::span<const RegressionRecord> records, double radius) {
  ReachSummary summary;
  for (const RegressionRecord& record : records) {
    const OutputCertificate certificate = certificate_of(header, record);
    const OutputInterval interval = certificate.interval(radius);
    summary.mean_width += interval.width();
    summary.mean_error += std::max(interval.high - record.label, record.label - interval.low);
    summary.mean_move += certificate.move(radius);
    summary.within_label += interval.contains(record.label);
  }
  const auto count = static_cast<double>(records.size());
  summary.mean_width /= count;
  summary.mean_error /= count;
  summary.mean_move /= count;
  summary.within_label /= count;
  return summary;
}

}  // namespace pixeldp
