#include "pixeldp/certification.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <iterator>
#include <map>
#include <utility>

#include "engine/consumer_thread.hpp"
#include "engine/error.hpp"
#include "engine/interrupt.hpp"
#include "engine/io/file.hpp"
#include "engine/notice.hpp"
#include "engine/progress.hpp"
#include "pixeldp/certificate_log_check.hpp"
#include "pixeldp/certifying.hpp"
#include "pixeldp/float_noise.hpp"
#include "pixeldp/lattice_prefix.hpp"
#include "pixeldp/log_parts.hpp"
#include "pixeldp/sampling.hpp"

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

/// The log at `path`, with all that its parts hold.
CertificateLogWriter open_log(const std::filesystem::path& path, const CertificateLogHeader& header,
                              bool resume) {
  if (resume) {
    const bool is_new = !std::filesystem::exists(path);
    CertificateLogWriter log = is_new ? CertificateLogWriter::create(path, header)
                                      : CertificateLogWriter::resume(path, header);
    try {
      collect_parts(log, path);
    } catch (const Error&) {
      if (is_new) std::filesystem::remove(path);
      throw;
    }
    return log;
  }
  if (const auto parts = find_parts(path); !parts.empty())
    fail(
        "{}: there is a part of this certification already; continue it with --resume, or move it "
        "away",
        parts.front().string());
  return CertificateLogWriter::create(path, header);
}

/// Adds the draws of before to those of now. The label that other draws chose stays chosen.
void add_earlier(const Task& task, SampledImage& sampled) {
  if (task.earlier.empty()) return;
  const CertificateRecord& record = task.earlier.at(sampled.image);
  sampled.statistics += record.statistics;
  sampled.selection_draws = record.selection_draws;
  if (record.selection_draws > 0) sampled.selected = record.prediction;
}

using Records = std::map<std::int64_t, CertificateRecord>;  // by image

Records take_records(CertificateLogWriter& log) {
  Records records;
  for (CertificateRecord& record : log.take_records()) {
    const std::int64_t image = record.image;
    records.emplace(image, std::move(record));
  }
  return records;
}

struct Done {
  std::uint64_t images = 0, draws = 0;
};

/// Draws and certifies images as this rank claims them, into its log.
Done certify_claimed(const Dataset& dataset, const Task& task, const CertificationOptions& o,
                     Sampler& sampler, std::span<const std::int64_t> todo,
                     CertificateLogWriter& writer, Records& records,
                     const std::function<void(std::uint64_t)>& report) {
  Communicator& ranks = *o.ranks;
  Done done;
  // A stream serves the thread that made it.
  std::optional<Certifier> certifier;
  constexpr std::size_t most_waiting = 256;
  ConsumerThread<SampledImage> certificates(most_waiting, [&](std::vector<SampledImage> images) {
    if (!certifier) certifier.emplace(writer.header(), o.device);
    for (SampledImage& image : images) add_earlier(task, image);
    certifier->certify(images, [&](CertificateRecord record) {
      writer.append(record);
      const std::int64_t image = record.image;
      records.emplace(image, std::move(record));
      ++done.images;
      if (ranks.size() == 1) report(done.images);
    });
  });
  const auto take = [&](SampledImage image) {
    done.draws += image.statistics.draws + image.selection_draws;
    certificates.push(std::move(image));
  };
  const std::vector<std::int64_t> ends = ends_of_claims(std::ssize(todo), ranks.size());
  ranks.begin_claims();
  while (!interrupted()) {
    const std::int64_t claim = ranks.claim();
    if (claim >= std::ssize(ends)) break;
    const auto end = static_cast<std::size_t>(ends[static_cast<std::size_t>(claim)]);
    const auto begin =
        claim == 0 ? 0 : static_cast<std::size_t>(ends[static_cast<std::size_t>(claim - 1)]);
    if (ranks.size() > 1) report(begin);  // as far as all ranks are
    sample_until_stopped(task.header, sampler, dataset, todo.subspan(begin, end - begin),
                         task.sampling, take);
  }
  if (interrupted()) ranks.end_claims();
  certificates.finish();
  return done;
}

CertificationSummary carry_out(const Model& model, const Dataset& dataset, const Task& task,
                               const CertificationOptions& o, const std::filesystem::path& path) {
  Communicator& ranks = *o.ranks;
  if (ranks.size() > 1) {
    std::vector<Communicator::Fact> facts = task.header.fields();
    facts.emplace_back("images",
                       fmt::format("{}:{}:{}", o.images.first, o.images.last, o.images.step));
    ranks.check_same(std::move(facts));
  }
  // Before the log is touched: the device may be missing, or too small.
  Sampler sampler(Stream(o.device), model.network, useful_micro_batch(model.network, o, task),
                  {o.precision, quantisation(model), o.algorithm},
                  lattice_of(task.header.calibration, model));
  std::optional<CertificateLogWriter> log, part;
  Records records;
  std::vector<std::int64_t> todo;
  if (ranks.first()) {
    log = open_log(path, task.header, o.resume);
    records = take_records(*log);
    std::ranges::copy_if(task.images, std::back_inserter(todo),
                         [&](std::int64_t image) { return !records.contains(image); });
  }
  ranks.broadcast(todo);
  if (ranks.size() > 1)
    part = CertificateLogWriter::create(part_path(path, ranks.rank()), task.header);

  const std::int64_t done_before = std::ssize(task.images) - std::ssize(todo);
  std::optional<ProgressBar> progress;
  if (ranks.first())
    progress.emplace("certify " + model.name, std::ssize(task.images), "images", done_before);
  const auto start = std::chrono::steady_clock::now();
  const Done mine = certify_claimed(
      dataset, task, o, sampler, todo, part ? *part : *log, records, [&](std::uint64_t images) {
        if (progress) progress->update(done_before + static_cast<std::int64_t>(images));
      });
  part.reset();
  std::array<std::uint64_t, 2> done = {mine.images, mine.draws};
  ranks.all_reduce(std::span<std::uint64_t>(done));  // by then, all parts are written
  const int signal = interrupt_signal(ranks);
  if (log && ranks.size() > 1) {
    collect_parts(*log, path);
    records = take_records(*log);
  }
  const bool all = std::cmp_equal(done[0], todo.size());
  if (progress) {
    if (all) progress->update(std::ssize(task.images));
    progress->finish();
  }
  ranks.barrier();  // the log holds what was done
  if (!all) {
    throw Interruption(
        fmt::format("interrupted; all certificates so far are in {}, continue with --resume",
                    path.string()),
        signal);
  }
  CertificationSummary summary{.header = log ? log->header() : task.header, .records = {}};
  summary.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  summary.new_draws = done[1];
  if (!log) return summary;
  log->sort();
  for (const std::int64_t image : task.images)
    summary.records.push_back(std::move(records.at(image)));
  return summary;
}

/// What the certificates rest on.
Calibration certifying_calibration(const Model& model, const CertificationOptions& o) {
  if (o.sound) return on_lattice(model).calibration;
  if (model.calibration.mechanism == Mechanism::none) return model.calibration;
  const Calibration calibration = check_certifiable(model);
  return o.charged ? charged(calibration, model) : calibration;
}

/// Whether a log is to be continued that says nothing of what radii are charged: it stays so.
bool was_begun_uncharged(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return false;
  const Bytes bytes = read_file(path);
  const std::string_view text = as_text(bytes);
  const std::size_t line = text.find('\n');
  if (line == std::string_view::npos) return false;
  const CertificateLogHeader header =
      parse_certificate_log(text.substr(0, line + 1), path.string()).header;
  return !is_charged(header.calibration);
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

void check_images(const Dataset& dataset, const ImageRange& images) {
  if (images.step < 1) fail_usage("images in steps of {}: a step is at least 1", images.step);
  if (images.first < 0 || images.last > dataset.size() || images.count() == 0) {
    fail_usage("images {}:{} are not a range within the {} images of {} ({})", images.first,
               images.last, dataset.size(), dataset.name, dataset.split);
  }
}

ImageRange ImageRange::shard(int index, int count) const {
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
  check_bound(o.certificate.bound, o.certificate.scores,
              o.selection_draws > 0 ? Selection::separate_draws : Selection::same_draws);
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
