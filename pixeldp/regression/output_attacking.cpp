#include <algorithm>
#include <chrono>
#include <cmath>

#include <nlohmann/json.hpp>

#include "engine/error.hpp"
#include "engine/interrupt.hpp"
#include "engine/io/file.hpp"
#include "engine/progress.hpp"
#include "pixeldp/attacks/attacking.hpp"
#include "pixeldp/attacks/evidence.hpp"
#include "pixeldp/attacks/image_log.hpp"
#include "pixeldp/log_json.hpp"
#include "pixeldp/regression/output_attack.hpp"
#include "pixeldp/regression/statistics_json.hpp"

namespace pixeldp {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const OutputAttackHeader& h) {
  const AttackOptions& o = h.options;
  Json json = {
      {"regression_attack", 1},
      {"attack", name(o.kind)},
      {"norm", name(o.norm)},
      {"size", or_null(o.size)},
      {"certificates_sha256", h.certificates_sha256.empty() ? Json() : Json(h.certificates_sha256)},
      {"steps", o.steps},
      {"step", o.step},
      {"restarts", o.restarts},
      {"draws", o.draws},
      {"check_draws", o.check_draws},
      {"judge_draws", o.judge_draws},
      {"seed", o.seed},
      {"model_sha256", h.model_sha256},
      {"dataset", h.dataset},
      {"dataset_sha256", h.dataset_sha256},
      {"split", h.split},
      {"output", name(h.output.kind)},
      {"low", h.output.low},
      {"high", h.output.high},
      {"mechanism", name(h.calibration.mechanism)},
      {"noise_scale", h.calibration.noise_scale}};
  json.update(function_keys(h.function));
  return json;
}

Json to_json(const JudgedPicture& picture) {
  Json json = {{"distance", picture.distance}, {"restart", picture.restart}};
  add_statistics(json, picture.statistics);
  return json;
}

JudgedPicture judged_picture(const Json& json) {
  return {.distance = json.at("distance"),
          .restart = json.at("restart"),
          .statistics = statistics_of(json)};
}

Json to_json(const OutputAttackRecord& record) {
  return {{"image", record.image},    {"label", record.label},
          {"size", record.size},      {"clean", to_json(record.clean)},
          {"up", to_json(record.up)}, {"down", to_json(record.down)}};
}

OutputAttackRecord record_of(const Json& json) {
  const OutputAttackRecord record{.image = json.at("image"),
                                  .label = json.at("label"),
                                  .size = json.at("size"),
                                  .clean = judged_picture(json.at("clean")),
                                  .up = judged_picture(json.at("up")),
                                  .down = judged_picture(json.at("down"))};
  if (record.image < 0) fail("image {}", record.image);
  check_written_alike(to_json(record), json);
  return record;
}

/// Where two intervals do not meet, how far they are apart; else 0.
double gap(const OutputInterval& a, const OutputInterval& b) {
  return std::max({0.0, a.low - b.high, b.low - a.high});
}

/// The picture of a contradiction with its pixels, the seed and the counts.
void save_contradiction(const OutputAttackRun& run, const OutputAttackHeader& header,
                        const AttackedOutput& attacked, const Contradiction& found,
                        const Dataset& dataset, PixelRange range) {
  const OutputAttackRecord& record = attacked.record;
  std::vector<float> pixels = found.picture == &record.up ? attacked.up : attacked.down;
  if (found.picture == &record.clean) {
    pixels.resize(static_cast<std::size_t>(dataset.image_size()));
    to_float(dataset, record.image, record.image + 1, pixels.data(), range.lowest);
  }
  save_picture(run.violations, record.image, dataset, pixels, range);
  Json evidence = {{"image", record.image},
                   {"label", record.label},
                   {"size", record.size},
                   {"norm", name(header.options.norm)},
                   {"contradicts_by", found.by},
                   {"seed", header.options.seed},
                   {"certificates_sha256", run.certificates->sha256},
                   {"model_sha256", header.model_sha256},
                   {"picture", to_json(*found.picture)},
                   {"pixels", pixels}};
  write_file_atomically(run.violations / fmt::format("{}.json", record.image),
                        evidence.dump() + "\n");
}

}  // namespace

OutputAttackHeader output_attack_header(const Model& model, const std::string& model_sha256,
                                        const Dataset& dataset, const AttackOptions& options,
                                        const Device& device, const BodyPrecision& body,
                                        bool radii) {
  if (!model.spec.output)
    fail_usage("model '{}' is a classifier: it predicts no number", model.name);
  check_images_fit(model, dataset);
  check_output_attack(options, dataset.image_size(), model.calibration, radii);
  return {.model_sha256 = model_sha256,
          .dataset = dataset.name,
          .dataset_sha256 = dataset.sha256(),
          .split = dataset.split,
          .output = *model.spec.output,
          .calibration = model.calibration,
          .function = body_function(device, body, lower(Stream(), model.network).body),
          .options = options};
}

double OutputCertificatesUnderAttack::size_of(std::int64_t image) const {
  return header.radius ? *header.radius : records.at(image).radius.value();
}

OutputCertificatesUnderAttack output_certificates_under_attack(const std::filesystem::path& path,
                                                               const OutputAttackHeader& attack) {
  RegressionLog log = read_regression_log(path);
  const RegressionLogHeader& h = log.header;
  check_subject(path, subject_of(h, h.calibration.attack_norm),
                subject_of(attack, attack.options.norm));
  OutputCertificatesUnderAttack all{.sha256 = sha256_file(path), .header = h};
  for (RegressionRecord& record : log.records) {
    const std::int64_t image = record.image;
    all.records.emplace(image, std::move(record));
  }
  return all;
}

Contradiction contradiction(const OutputAttackRecord& record, const RegressionLogHeader& header,
                            const RegressionRecord& certificate) {
  const Prediction prediction = header.options.prediction;
  const OutputOptions judge{prediction, CertificateKind::exact,
                            OutputOptions::usual_bound(prediction), 1e-6};
  const auto judged = [&](const JudgedPicture& picture) {
    return OutputCertificate(picture.statistics, header.output, uncharged(header.calibration),
                             judge)
        .interval(0.0);
  };
  const OutputCertificate proved = certificate_of(header, certificate);
  const OutputInterval interval = proved.interval(record.size);
  const double move = proved.move(record.size);
  const OutputInterval of_image = judged(record.clean);
  Contradiction found;
  for (const JudgedPicture* picture : {&record.clean, &record.up, &record.down}) {
    const OutputInterval here = judged(*picture);
    const double by = std::max(gap(here, interval), gap(here, of_image) - move);
    if (by > found.by) found = {by, picture};
  }
  return found;
}

OutputAttackSummary attack_outputs(Model& model, const Dataset& dataset,
                                   const OutputAttackHeader& header, const BodyPrecision& body,
                                   const OutputAttackRun& run, const std::filesystem::path& path) {
  const AttackOptions& options = header.options;
  OutputAttack attack(model, options, run.device, body);
  std::map<std::int64_t, OutputAttackRecord> records;
  ImageLog log(path, to_json(header), run.resume, [&](const Json& line) {
    OutputAttackRecord record = record_of(line);
    const std::int64_t image = record.image;
    records.emplace(image, std::move(record));
    return image;
  });
  std::vector<std::int64_t> todo;
  std::ranges::copy_if(run.images, std::back_inserter(todo),
                       [&](std::int64_t image) { return !records.contains(image); });
  ProgressBar progress("attack " + model.name, std::ssize(run.images), "images",
                       std::ssize(run.images) - std::ssize(todo));
  const auto start = std::chrono::steady_clock::now();
  const auto batch =
      static_cast<std::size_t>(run.batch > 0 ? run.batch : usual_batch(options, run.device));
  for (std::size_t first = 0; first < todo.size() && !interrupted(); first += batch) {
    const auto images = std::span(todo).subspan(first, std::min(batch, todo.size() - first));
    std::vector<double> sizes;
    for (const std::int64_t image : images)
      sizes.push_back(options.size ? *options.size : run.certificates->size_of(image));
    for (AttackedOutput& attacked : attack.run(dataset, images, sizes)) {
      OutputAttackRecord& record = attacked.record;
      if (run.certificates) {
        const Contradiction found = contradiction(record, run.certificates->header,
                                                  run.certificates->records.at(record.image));
        if (found.picture)
          save_contradiction(run, header, attacked, found, dataset, attack.pixels());
      }
      log.append(to_json(record));
      progress.advance();
      const std::int64_t image = record.image;
      records.emplace(image, std::move(record));
    }
  }
  progress.finish();
  OutputAttackSummary summary{.gradient_rows = attack.gradient_rows(), .draws = attack.draws()};
  summary.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (const std::int64_t image : run.images) {
    const auto found = records.find(image);
    if (found == records.end())
      fail_interrupted("interrupted; all attacks so far are in {}, continue with --resume",
                       path.string());
    summary.records.push_back(found->second);
  }
  return summary;
}

OutputAttackFigures output_attack_figures(const OutputAttackHeader& header,
                                          std::span<const OutputAttackRecord> records) {
  if (records.empty()) fail("no attacks, so no figures");
  OutputAttackFigures figures;
  for (const OutputAttackRecord& record : records) {
    const auto mean = [&](const JudgedPicture& picture) {
      return picture.statistics.mean(header.output);
    };
    const double clean = mean(record.clean), up = mean(record.up), down = mean(record.down);
    figures.mean_error += std::abs(clean - record.label);
    figures.mean_error_attacked +=
        std::max({std::abs(clean - record.label), up - record.label, record.label - down});
    const double move = std::max(std::abs(up - clean), std::abs(clean - down));
    figures.mean_move += move;
    figures.largest_move = std::max(figures.largest_move, move);
  }
  const auto count = static_cast<double>(records.size());
  figures.mean_error /= count;
  figures.mean_error_attacked /= count;
  figures.mean_move /= count;
  return figures;
}

OutputSandwich output_sandwich(const OutputCertificatesUnderAttack& certificates,
                               std::span<const OutputAttackRecord> records) {
  OutputSandwich result;
  for (const OutputAttackRecord& record : records) {
    const auto found = certificates.records.find(record.image);
    if (found == certificates.records.end()) continue;
    ++result.images;
    if (contradiction(record, certificates.header, found->second).picture)
      result.violations.push_back(record.image);
    const OutputCertificate proved = certificate_of(certificates.header, found->second);
    result.mean_certified_move += proved.move(record.size);
    result.mean_width += proved.interval(record.size).width();
  }
  if (result.images == 0) fail("none of the attacked images has a certificate");
  result.mean_certified_move /= static_cast<double>(result.images);
  result.mean_width /= static_cast<double>(result.images);
  result.explained = explained_by_chance(result.images, certificates.header.options.alpha);
  return result;
}

}  // namespace pixeldp
