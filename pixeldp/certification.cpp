#include "pixeldp/certification.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "engine/consumer_thread.hpp"
#include "engine/error.hpp"
#include "engine/io/file.hpp"
#include "engine/notice.hpp"
#include "pixeldp/certificate_log_check.hpp"
#include "pixeldp/certifying.hpp"
#include "pixeldp/float_noise.hpp"
#include "pixeldp/lattice_prefix.hpp"
#include "pixeldp/sampling.hpp"
#include "pixeldp/shared_certification.hpp"
#include "pixeldp/shared_draws.hpp"

namespace pixeldp {
namespace {

/// What is to be drawn and certified.
struct Task {
  CertificateLogHeader header;
  SamplingOptions sampling;
  std::vector<std::int64_t> images = {};
  /// What the images' first draws left, by image, where the log is to hold more.
  std::map<std::int64_t, CertificateRecord> earlier = {};
};

/// The micro-batch asked for, as far as it can be used: a larger one would only take memory.
std::int64_t useful_micro_batch(const layers::Network& network, const CertificationOptions& o,
                                const Task& task) {
  const std::int64_t rows =
      std::ssize(task.images) * std::max(task.sampling.draws, task.sampling.selection_draws);
  const std::int64_t most = std::min(rows, Sampler::largest_micro_batch(o.device, network));
  if (o.micro_batch <= most) return o.micro_batch;
  notice("--micro-batch {} is cut down to {}: no more rows are ever taken", o.micro_batch, most);
  return most;
}

/// Adds the draws of before to those of now. The label that other draws chose stays chosen.
void add_earlier(const Task& task, SampledImage& sampled) {
  if (task.earlier.empty()) return;
  const CertificateRecord& record = task.earlier.at(sampled.image);
  sampled.statistics += record.statistics;
  sampled.selection_draws = record.selection_draws;
  if (record.selection_draws > 0) sampled.selected = record.prediction;
}

/// Images one after the other, the draws of each made by all ranks; rank 0 takes them. Ends at the
/// first that an interruption of any rank left without all its draws.
void sample_together(Communicator& ranks, Sampler& sampler, const Dataset& dataset,
                     std::span<const std::int64_t> images, const SamplingOptions& o,
                     const std::function<void(SampledImage)>& take) {
  for (const std::int64_t image : images) {
    SampledImage sampled{.image = image,
                         .label = dataset.labels[static_cast<std::size_t>(image)],
                         .selection_draws = o.selection_draws,
                         .statistics = {}};
    const auto source = [&](std::int64_t, float* pixels) {
      to_float(dataset, image, image + 1, pixels, o.pixel_shift);
      return dataset.image_id(image);
    };
    const auto sample_range = [&](const DrawRange& draws, const auto& consume) {
      sample_by_ranks<Sampler, ScoreStatistics>(
          ranks, sampler, 1, draws, source, no_scores(sampler.classes(), draws.histogram),
          [&](std::int64_t, const ScoreStatistics& statistics) { consume(statistics); });
    };
    if (o.selection_draws > 0) {
      sample_range({.seed = o.seed,
                    .tag = StreamTag::selection,
                    .count = o.selection_draws,
                    .interruptible = true},
                   [&](const ScoreStatistics& s) { sampled.selected = s.top_label(o.scores); });
      if (!sampled.selected) return;
    }
    sample_range({.seed = o.seed,
                  .tag = StreamTag::estimation,
                  .first = o.first,
                  .count = o.draws,
                  .interruptible = true,
                  .histogram = o.histogram},
                 [&](const ScoreStatistics& s) { sampled.statistics = s; });
    if (sampled.statistics.draws == 0) return;
    if (ranks.first()) take(std::move(sampled));
  }
}

/// Draws and certifies the images that this rank claims; returns the draws.
std::uint64_t certify_claimed(const Dataset& dataset, const Task& task,
                              const CertificationOptions& o, Sampler& sampler, Claims& claims,
                              const CertificateLogHeader& header,
                              const std::function<void(CertificateRecord)>& keep) {
  std::uint64_t draws = 0;
  // A stream serves the thread that made it.
  std::optional<Certifier> certifier;
  constexpr std::size_t most_waiting = 256;
  ConsumerThread<SampledImage> certificates(most_waiting, [&](std::vector<SampledImage> images) {
    if (!certifier) certifier.emplace(header, o.device);
    for (SampledImage& image : images) add_earlier(task, image);
    certifier->certify(images, keep);
  });
  const auto take = [&](SampledImage image) {
    draws += image.statistics.draws + image.selection_draws;
    certificates.push(std::move(image));
  };
  const std::span all = claims.images();
  const bool fixed = task.header.stopping.rule == StoppingRule::fixed;
  if (fixed && worth_sharing(*o.ranks, all.size(), task.sampling.draws))
    sample_together(*o.ranks, sampler, dataset, all, task.sampling, take);
  else
    while (const auto images = claims.next())
      sample_until_stopped(task.header, sampler, dataset, *images, task.sampling, take);
  certificates.finish();
  return draws;
}

CertificationSummary carry_out(const Model& model, const Dataset& dataset, const Task& task,
                               const CertificationOptions& o, const std::filesystem::path& path) {
  check_ranks(*o.ranks, task.header, o.images);
  // Before the log is touched: the device may be missing, or too small.
  Sampler sampler(Stream(o.device), model.network, useful_micro_batch(model.network, o, task),
                  {o.precision, quantisation(model), o.algorithm},
                  lattice_of(task.header.calibration, model));
  auto result = certify_shared<CertificateLogWriter>(
      {*o.ranks, path, o.resume, model.name, task.images}, task.header,
      [&](Claims& claims, const CertificateLogHeader& header,
          const std::function<void(CertificateRecord)>& keep) {
        return certify_claimed(dataset, task, o, sampler, claims, header, keep);
      });
  return {.header = std::move(result.header),
          .records = std::move(result.records),
          .new_draws = result.new_draws,
          .seconds = result.seconds};
}

/// Whether a log is to be continued that says nothing of what radii are charged: it stays so.
bool was_begun_uncharged(const std::filesystem::path& path) {
  const auto line = first_line(path);
  return line && !is_charged(parse_certificate_log(*line, path.string()).header.calibration);
}

/// The finished log that gets more draws, which the model must have made.
CertificateLog log_to_extend(const Model& model, const std::string& model_sha256,
                             const Dataset& dataset, CertificationOptions o,
                             const std::filesystem::path& path) {
  CertificateLog log = read_certificate_log(path);
  if (log.cut_short || log.records.empty())
    fail("{}: the log is not finished: continue it with --resume first", path.string());
  if (log.header.stopping.rule != StoppingRule::fixed) {
    fail(
        "{}: each image stopped by its own counts (stopping {}), so that there is no number of "
        "draws to extend: certify anew, with more --draws to stop at",
        path.string(), name(log.header.stopping.rule));
  }
  o.certificate = log.header.options;
  o.histogram = log.header.statistics.histogram;
  o.ledger = log.header.ledger;
  o.draws = static_cast<std::uint32_t>(log.header.draws);
  o.selection_draws = static_cast<std::uint32_t>(log.header.selection_draws);
  o.seed = log.header.seed;
  o.sound = log.header.calibration.lattice_step > 0.0;
  o.charged = is_charged(log.header.calibration);
  const CertificateLogHeader mine = certification_header(model, model_sha256, dataset, o);
  if (const std::string difference = log.header.difference(mine); !difference.empty()) {
    fail(
        "{}: the log cannot be extended, it was made under other conditions (the log's first, "
        "yours second):\n{}",
        path.string(), difference);
  }
  double& sensitivity = log.header.calibration.sensitivity;
  sensitivity = std::max(sensitivity, mine.calibration.sensitivity);
  return log;
}

}  // namespace

Calibration certifying_calibration(const Model& model, const CertificationOptions& o) {
  if (o.sound) return on_lattice(model).calibration;
  if (model.calibration.mechanism == Mechanism::none) return model.calibration;
  const Calibration calibration = check_certifiable(model);
  return o.charged ? charged(calibration, model) : calibration;
}

void check_images(const Dataset& dataset, const ImageRange& images) {
  if (images.step < 1) fail_usage("images in steps of {}: a step is at least 1", images.step);
  if (images.first < 0 || images.last > dataset.size() || images.count() == 0) {
    fail_usage("images {}:{} are not a range within the {} images of {} ({})", images.first,
               images.last, dataset.size(), dataset.name, dataset.split);
  }
}

ImageRange ImageRange::shard(int index, int count) const {
  if (count < 1) fail_usage("--shard {}/{}: there must be at least 1 share", index, count);
  if (index < 0 || index >= count)
    fail_usage("--shard {}/{}: shards of {} are numbered from 0 to {}", index, count, count,
               count - 1);
  if (this->count() == 0) return *this;  // to be refused as it was given
  ImageRange share{.first = last, .last = last};
  if (index < this->count()) share.first = (*this)[index];
  share.step =
      step > (last - first) / count ? std::max<std::int64_t>(last - first, 1) : step * count;
  return share;
}

CertificateLogHeader certification_header(const Model& model, const std::string& model_sha256,
                                          const Dataset& dataset, const CertificationOptions& o) {
  const bool noisy = model.calibration.mechanism != Mechanism::none;
  const Calibration calibration = certifying_calibration(model, o);
  check_images_fit(model, dataset);
  if (o.draws == 0) fail_usage("the number of draws must be at least 1");
  if (const auto text = fault(o.certificate, model.network.classes())) fail_usage("{}", *text);
  check_bound(o.certificate.bound, o.certificate.scores, selection_of(o.selection_draws > 0));
  CertificateLogHeader header{
      .model_sha256 = model_sha256,
      .classifier_sha256 = model.classifier_sha256,
      .dataset = dataset.name,
      .dataset_sha256 = dataset.sha256(),
      .split = dataset.split,
      .calibration = calibration,
      .noise_at_certification = model.noise_at_certification,
      .options = o.certificate,
      .function = body_function(o.device, {o.precision, nullptr, o.algorithm},
                                lower(Stream(), model.network).body),
      .draws = noisy ? o.draws : 1,
      .selection_draws = noisy ? o.selection_draws : 0,
      .seed = o.seed,
      .statistics = {.histogram = o.histogram},
      .stopping = o.stopping};
  if (const auto text = fault(header.statistics, o.certificate)) fail_usage("{}", *text);
  if (!noisy && o.stopping.rule != StoppingRule::fixed)
    fail_usage(
        "model '{}' has no noise: its draws are all the same, and nothing is proved by more of "
        "them; certify without --radius and --tolerance, or give it --noise",
        model.name);
  check_stopping(o.stopping, calibration, model.network.classes(), header.draws);
  if (header.selection_draws > 0) header.selected_by = o.certificate.scores;
  if (noisy) header.ledger = o.ledger.empty() ? only_look(o.certificate, o.draws) : o.ledger;
  return header;
}

CertificationSummary certify_dataset(const Model& model, const std::string& model_sha256,
                                     const Dataset& dataset, const CertificationOptions& given,
                                     const std::filesystem::path& path) {
  CertificationOptions o = given;
  if (o.resume && was_begun_uncharged(path)) o.charged = false;
  check_images(dataset, o.images);
  Task task{.header = certification_header(model, model_sha256, dataset, o), .sampling = {}};
  task.sampling = {.seed = o.seed,
                   .draws = static_cast<std::uint32_t>(task.header.draws),
                   .selection_draws = static_cast<std::uint32_t>(task.header.selection_draws),
                   .scores = o.certificate.scores,
                   .pixel_shift = static_cast<float>(model.pixel_shift),
                   .histogram = o.histogram};
  for (std::int64_t place = 0; place < o.images.count(); ++place)
    task.images.push_back(o.images[place]);
  return carry_out(model, dataset, task, o, path);
}

CertificationSummary extend_certification(const Model& model, const std::string& model_sha256,
                                          const Dataset& dataset, const CertificationOptions& o,
                                          std::uint32_t more_draws,
                                          const std::filesystem::path& path) {
  if (more_draws == 0) fail_usage("--extend 0: there is nothing to add");
  if (o.ranks->size() > 1)
    fail_usage("--extend is for one process, these are {} ranks", o.ranks->size());
  if (!std::filesystem::exists(path)) fail("{}: there is no log to extend", path.string());
  const AppendFile lock(path);
  CertificateLog log = log_to_extend(model, model_sha256, dataset, o, path);
  Task task{.header = log.header,
            .sampling = {.seed = log.header.seed,
                         .first = static_cast<std::uint32_t>(log.header.draws),
                         .draws = more_draws,
                         .scores = log.header.options.scores,
                         .pixel_shift = static_cast<float>(model.pixel_shift),
                         .histogram = log.header.statistics.histogram}};
  task.header.draws += more_draws;
  CertificateOptions& options = task.header.options;
  const Look* look =
      reserved_look(task.header.ledger, options.scores, options.bound, task.header.draws);
  if (!look) {
    fail(
        "{}: no alpha was reserved for a look at {} draws, {} bounds of {} scores, and after a "
        "look at {} draws such a bound proves nothing: certify with --looks {} beforehand, with "
        "--bound anytime, which holds after any number of draws, or anew with another --seed",
        path.string(), task.header.draws, name(options.bound), name(options.scores),
        log.header.draws, task.header.draws);
  }
  options.alpha = look->alpha;
  for (CertificateRecord& record : log.records) {
    task.images.push_back(record.image);
    const std::int64_t image = record.image;
    task.earlier.emplace(image, std::move(record));
  }
  std::ranges::sort(task.images);
  std::filesystem::path extended = path;
  extended += ".extended";
  CertificationSummary summary = carry_out(model, dataset, task, o, extended);
  std::filesystem::rename(extended, path);
  return summary;
}

}  // namespace pixeldp
