#include "pixeldp/certification.hpp"

#include <algorithm>
#include <chrono>
#include <map>

#include "engine/consumer_thread.hpp"
#include "engine/error.hpp"
#include "engine/interrupt.hpp"
#include "engine/notice.hpp"
#include "engine/progress.hpp"
#include "pixeldp/certifying.hpp"
#include "pixeldp/sampling.hpp"

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
  check_bound(o.certificate.bound, o.certificate.scores,
              o.selection_draws > 0 ? Selection::separate_draws : Selection::same_draws);
  return calibration;
}

/// The micro-batch asked for, as far as it can be used: a larger one would only take memory.
std::int64_t useful_micro_batch(const layers::Network& network, const CertificationOptions& o,
                                std::uint32_t draws) {
  const std::int64_t most =
      std::min(o.images.count() * draws, Sampler::largest_micro_batch(o.device, network));
  if (o.micro_batch <= most) return o.micro_batch;
  notice("--micro-batch {} is cut down to {}: no more rows are ever taken", o.micro_batch, most);
  return most;
}

/// The log, and what it holds already.
struct OpenLog {
  CertificateLogWriter writer;
  std::map<std::int64_t, CertificateRecord> records;  ///< by image
};

OpenLog open_log(const std::filesystem::path& path, const CertificateLogHeader& header,
                 bool resume) {
  if (!resume || !std::filesystem::exists(path))
    return {CertificateLogWriter::create(path, header), {}};
  OpenLog log{CertificateLogWriter::resume(path, header), {}};
  for (CertificateRecord& record : read_certificate_log(path).records) {
    const std::int64_t image = record.image;
    log.records.emplace(image, std::move(record));
  }
  return log;
}

}  // namespace

CertificationSummary certify_dataset(const Model& model, const std::string& model_sha256,
                                     const Dataset& dataset, const CertificationOptions& o,
                                     const std::filesystem::path& path) {
  const Calibration calibration = check(model, dataset, o);
  const bool noisy = calibration.mechanism != Mechanism::none;
  const SamplingOptions sampling{.seed = o.seed,
                                 .draws = noisy ? o.draws : 1,
                                 .selection_draws = noisy ? o.selection_draws : 0,
                                 .scores = o.certificate.scores,
                                 .pixel_shift = static_cast<float>(model.pixel_shift)};
  // Before the log is touched: the device may be missing, or too small.
  Sampler sampler(
      Stream(o.device), model.network,
      useful_micro_batch(model.network, o, std::max(sampling.draws, sampling.selection_draws)),
      {o.precision, quantisation(model), o.algorithm});
  OpenLog log = open_log(path,
                         {.model_sha256 = model_sha256,
                          .dataset = dataset.name,
                          .dataset_sha256 = dataset.sha256(),
                          .split = dataset.split,
                          .calibration = calibration,
                          .noise_at_certification = model.noise_at_certification,
                          .options = o.certificate,
                          .function = sampler.function(),
                          .draws = sampling.draws,
                          .selection_draws = sampling.selection_draws,
                          .seed = o.seed},
                         o.resume);
  std::vector<std::int64_t> todo;
  for (std::int64_t place = 0; place < o.images.count(); ++place) {
    if (!log.records.contains(o.images[place])) todo.push_back(o.images[place]);
  }

  CertificationSummary summary{.header = log.writer.header(), .records = {}};
  const std::int64_t done_before = o.images.count() - std::ssize(todo);
  ProgressBar progress("certify " + model.name, o.images.count(), "images", done_before);
  const auto start = std::chrono::steady_clock::now();
  std::int64_t certified = 0;
  {
    // A stream serves the thread that made it.
    std::optional<Certifier> certifier;
    constexpr std::size_t most_waiting = 256;
    ConsumerThread<SampledImage> certificates(most_waiting, [&](std::vector<SampledImage> images) {
      if (!certifier) certifier.emplace(summary.header, o.device);
      certifier->certify(images, [&](CertificateRecord record) {
        log.writer.append(record);
        const std::int64_t image = record.image;
        log.records.emplace(image, std::move(record));
        progress.update(done_before + ++certified);
      });
    });
    sample(sampler, dataset, todo, sampling,
           [&](SampledImage image) { certificates.push(std::move(image)); });
    certificates.finish();
  }
  progress.finish();
  if (certified < std::ssize(todo)) {
    fail_interrupted("interrupted; all certificates so far are in {}, continue with --resume",
                     path.string());
  }
  summary.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  summary.new_draws =
      static_cast<std::uint64_t>(certified) * (sampling.draws + sampling.selection_draws);
  for (std::int64_t place = 0; place < o.images.count(); ++place)
    summary.records.push_back(std::move(log.records.at(o.images[place])));
  return summary;
}

}  // namespace pixeldp
