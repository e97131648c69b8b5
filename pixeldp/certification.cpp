#include "pixeldp/certification.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>

#include "engine/error.hpp"
#include "engine/interrupt.hpp"
#include "engine/progress.hpp"
#include "pixeldp/multi_draw.hpp"

namespace pixeldp {
namespace {

/// Returns the calibration to certify with.
Calibration check(const Model& model, const Dataset& dataset, const CertificationOptions& o) {
  const Calibration calibration =
      model.calibration.mechanism == Mechanism::none ? model.calibration : check_certifiable(model);
  check_images_fit(model, dataset);
  if (o.draws == 0) fail_usage("the number of draws must be at least 1");
  const ImageRange& images = o.images;
  if (images.step < 1) fail_usage("images in steps of {}: a step is at least 1", images.step);
  if (images.first < 0 || images.last > dataset.size() || images.count() == 0) {
    fail_usage("images {}:{} are not a range within the {} images of {} ({})", images.first,
               images.last, dataset.size(), dataset.name, dataset.split);
  }
  if (o.certificate.bound == Bound::clopper_pearson && o.certificate.scores == ScoreType::softmax) {
    fail_usage(
        "the bound clopper-pearson is for votes: use --scores argmax, or another --bound for "
        "softmax scores");
  }
  return calibration;
}

/// Keeps of the statistics what belongs to the score type: the rest is not part of the certificate.
ScoreStatistics relevant(ScoreType type, ScoreStatistics statistics) {
  if (type == ScoreType::argmax) {
    statistics.sums.clear();
    statistics.squares.clear();
  } else {
    statistics.votes.clear();
  }
  return statistics;
}

/// The device computed the same certificate on its own: that it agrees is part of the proof that it
/// computes right. The processor's is the one recorded, for it is the same on every machine.
void check_agreement(std::int64_t image, const Certificate& mine,
                     const kernels::BoundedPrediction& devices, const Calibration& calibration,
                     CertificateKind kind) {
  // The kernel's last digits; the grid's search may besides stop a step early.
  const double least = kind == CertificateKind::pixeldp_grid
                           ? 0.0
                           : mine.radius - 1e-6 * calibration.noise_scale / calibration.sensitivity;
  if (devices.prediction == mine.prediction && devices.radius <= mine.radius &&
      devices.radius >= least)
    return;
  fail(
      "image {}: the device certifies label {} within {}, the processor label {} within {}; one of "
      "them computes wrong, and nothing of this image was recorded",
      image, devices.prediction, devices.radius, mine.prediction, mine.radius);
}

/// Images go through in blocks, so that the labels chosen by separate draws need little memory and
/// an interrupt loses little.
constexpr std::size_t block = 1024;

/// The micro-batch asked for, as far as it can be used: a larger one would only take memory.
std::int64_t useful_micro_batch(const layers::Network& network, const CertificationOptions& o,
                                std::uint32_t draws) {
  const std::int64_t images = std::min<std::int64_t>(o.images.count(), block);
  const std::int64_t most =
      std::min(images * draws, MultiDrawPredictor::largest_micro_batch(o.device, network));
  if (o.micro_batch <= most) return o.micro_batch;
  fmt::print(stderr, "pixeldp: --micro-batch {} is cut down to {}: no more rows are ever taken\n",
             o.micro_batch, most);
  return most;
}

}  // namespace

CertificationSummary certify_dataset(const Model& model, const std::string& model_sha256,
                                     const Dataset& dataset, const CertificationOptions& o,
                                     const std::filesystem::path& path) {
  const Calibration measured = check(model, dataset, o);
  const bool noisy = measured.mechanism != Mechanism::none;
  const std::uint32_t draws = noisy ? o.draws : 1, selection_draws = noisy ? o.selection_draws : 0;
  const CertificateLogHeader header{
      .model_sha256 = model_sha256,
      .dataset = dataset.name,
      .dataset_sha256 = dataset.sha256(),
      .split = dataset.split,
      .calibration = measured,
      .noise_at_certification = model.noise_at_certification,
      .options = o.certificate,
      .precision = std::string(name(precision_on(o.device, o.precision))),
      .draws = draws,
      .selection_draws = selection_draws,
      .seed = o.seed};
  const std::int64_t micro_batch =
      useful_micro_batch(model.network, o, std::max(draws, selection_draws));
  // Before the log is touched: the device may be missing, or too small.
  const MultiDrawPredictor predictor(Stream(o.device), model.network, micro_batch,
                                     {o.precision, quantisation(model)});
  const bool resuming = o.resume && std::filesystem::exists(path);
  std::map<std::int64_t, CertificateRecord> done;
  CertificateLogWriter log = resuming ? CertificateLogWriter::resume(path, header)
                                      : CertificateLogWriter::create(path, header);
  const Calibration calibration = log.header().calibration;  // of all of its certificates
  if (resuming) {
    for (CertificateRecord& record : read_certificate_log(path).records)
      done[record.image] = std::move(record);
  }
  std::vector<std::int64_t> todo;
  for (std::int64_t place = 0; place < o.images.count(); ++place) {
    if (!done.contains(o.images[place])) todo.push_back(o.images[place]);
  }

  ProgressBar progress("certify " + model.name, o.images.count(), "images");
  const auto start = std::chrono::steady_clock::now();
  CertificationSummary summary;
  summary.header = log.header();
  std::int64_t certified = 0;  // of todo

  for (std::size_t begin = 0; begin < todo.size(); begin += block) {
    const std::span images(todo.data() + begin, std::min(block, todo.size() - begin));
    const auto source = [&](std::int64_t index, float* pixels) {
      const std::int64_t image = images[static_cast<std::size_t>(index)];
      to_float(dataset, image, image + 1, pixels, static_cast<float>(model.pixel_shift));
      return dataset.image_id(image);
    };
    const auto count = static_cast<std::int64_t>(images.size());

    std::vector<int> selected;
    std::optional<kernels::BoundedPrediction> of_device;
    if (selection_draws > 0) {
      predictor.run(count,
                    {.seed = o.seed,
                     .tag = StreamTag::selection,
                     .first_draw = 0,
                     .draws = selection_draws,
                     .interruptible = true},
                    source, [&](std::int64_t, const ScoreStatistics& statistics) {
                      selected.push_back(statistics.top_label(o.certificate.scores));
                      return true;
                    });
    }
    const auto certify_one = [&](std::int64_t index, const ScoreStatistics& all) {
      CertificateRecord record;
      record.image = images[static_cast<std::size_t>(index)];
      record.label = dataset.labels[static_cast<std::size_t>(record.image)];
      record.selection_draws = selection_draws;
      record.statistics = relevant(o.certificate.scores, all);
      if (noisy) {
        const auto choice =
            selected.empty() ? std::optional<int>() : selected[static_cast<std::size_t>(index)];
        const Certificate certificate =
            certify(record.statistics, calibration, o.certificate, choice);
        if (of_device)
          check_agreement(record.image, certificate, *of_device, calibration, o.certificate.kind);
        record.prediction = certificate.prediction;
        record.radius = certificate.radius;
      } else {
        record.prediction = record.statistics.top_label(o.certificate.scores);
      }
      log.append(record);
      summary.new_draws += draws + selection_draws;
      done[record.image] = std::move(record);
      ++certified;
      progress.update(o.images.count() - std::ssize(todo) + certified);
      return true;
    };
    if (!interrupted()) {
      DrawPlan plan{.seed = o.seed,
                    .tag = StreamTag::estimation,
                    .first_draw = 0,
                    .draws = draws,
                    .interruptible = true};
      const std::vector<std::int64_t> chosen(selected.begin(), selected.end());
      if (noisy && o.device.kind != DeviceKind::cpu) {
        plan.bounds = bounds_params(calibration, o.certificate, count, predictor.classes());
        plan.selected = chosen;
        plan.bounded = [&](std::int64_t, const kernels::BoundedPrediction& certificate) {
          of_device = certificate;
        };
      }
      predictor.run(count, plan, source, certify_one);
    }
    if (interrupted() && certified < std::ssize(todo)) {
      progress.finish();
      fail_interrupted("interrupted; all certificates so far are in {}, continue with --resume",
                       path.string());
    }
  }
  progress.finish();
  summary.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (std::int64_t place = 0; place < o.images.count(); ++place)
    summary.records.push_back(std::move(done.at(o.images[place])));
  return summary;
}

}  // namespace pixeldp
