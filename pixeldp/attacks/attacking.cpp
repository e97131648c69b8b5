#include "pixeldp/attacks/attacking.hpp"

#include <algorithm>
#include <chrono>
#include <limits>

#include "engine/error.hpp"
#include "engine/interrupt.hpp"
#include "engine/progress.hpp"
#include "pixeldp/attacks/attacks.hpp"
#include "pixeldp/attacks/evidence.hpp"
#include "pixeldp/float_noise.hpp"
#include "pixeldp/lattice_prefix.hpp"

namespace pixeldp {
namespace {

/// A label that is not the image's own, each with the same probability.
int random_target(const AttackOptions& o, std::uint32_t image, int label, int classes) {
  const std::uint32_t word = Philox::at(o.seed, StreamTag::attack_start, image, ~0u, 0)[0];
  const auto others = static_cast<std::uint64_t>(classes - 1);
  return (label + 1 + static_cast<int>(word * others >> 32)) % classes;
}

ImageUnderAttack begin(const AttackedModel& model, const Dataset& dataset, std::int64_t index,
                       int classes, double size) {
  const AttackOptions& o = model.options();
  ImageUnderAttack image{.label = dataset.labels[static_cast<std::size_t>(index)], .size = size};
  image.pixels.resize(static_cast<std::size_t>(dataset.image_size()));
  to_float(dataset, index, index + 1, image.pixels.data(), model.pixels().lowest);
  image.aimed.id = dataset.image_id(index);
  image.aimed.aim = {image.label, false};
  if (o.targeted) image.aimed.aim = {random_target(o, image.aimed.id, image.label, classes), true};
  return image;
}

/// What the judge says of images as they are.
std::vector<AttackRecord> judge_images(AttackedModel& model, std::span<ImageUnderAttack> images,
                                       std::span<const std::int64_t> numbers) {
  Tensor pictures = model.pictures(images.size());
  std::vector<const ImageUnderAttack*> all;
  for (std::size_t i = 0; i < images.size(); ++i) {
    std::ranges::copy(images[i].pixels, pictures.row(static_cast<std::int64_t>(i)));
    all.push_back(&images[i]);
  }
  const std::vector<ScoreStatistics> votes = model.judge(pictures, all);
  std::vector<AttackRecord> records;
  for (std::size_t i = 0; i < images.size(); ++i) {
    ImageUnderAttack& image = images[i];
    AttackRecord record{.image = numbers[i], .label = image.label, .clean_votes = votes[i].votes};
    if (model.options().targeted) record.target = image.aimed.aim.label;
    if (image.size < std::numeric_limits<double>::infinity()) record.size = image.size;
    image.saw(model.outcome(votes[i], image.label), 0.0);
    if (model.reached(votes[i], image.aimed.aim)) {
      record.distance = 0.0;
      record.votes = record.clean_votes;
    }
    records.push_back(std::move(record));
  }
  return records;
}

/// Lets the judge look at what was found, the nearest of every image first, until it is convinced.
void judge_found(AttackedModel& model, std::span<ImageUnderAttack* const> images,
                 std::span<AttackRecord* const> records) {
  for (std::size_t place = 0;; ++place) {
    std::vector<const ImageUnderAttack*> looked_at;
    std::vector<AttackRecord*> of;
    for (std::size_t i = 0; i < images.size(); ++i) {
      if (records[i]->distance || images[i]->found.size() <= place) continue;
      looked_at.push_back(images[i]);
      of.push_back(records[i]);
    }
    if (looked_at.empty()) return;
    Tensor pictures = model.pictures(looked_at.size());
    for (std::size_t i = 0; i < looked_at.size(); ++i)
      std::ranges::copy(looked_at[i]->found[place].pixels,
                        pictures.row(static_cast<std::int64_t>(i)));
    const std::vector<ScoreStatistics> votes = model.judge(pictures, looked_at);
    for (std::size_t i = 0; i < looked_at.size(); ++i) {
      if (!model.reached(votes[i], looked_at[i]->aimed.aim)) continue;
      of[i]->votes = votes[i].votes;
      of[i]->distance = looked_at[i]->found[place].distance;
      of[i]->restart = looked_at[i]->found[place].restart;
    }
  }
}

/// Attacks some images at once.
std::vector<AttackRecord> attack_batch(AttackedModel& model, std::vector<ImageUnderAttack>& images,
                                       std::span<const std::int64_t> numbers, bool bring_nearer) {
  std::vector<AttackRecord> records = judge_images(model, images, numbers);
  const bool certified = model.options().certified.has_value();
  std::vector<std::size_t> places;
  std::vector<ImageUnderAttack> attacked;
  for (std::size_t i = 0; i < images.size(); ++i) {
    const bool worth_it = records[i].clean_right() || certified;
    if (records[i].distance || !worth_it || !(images[i].size > 0.0)) continue;
    places.push_back(i);
    attacked.push_back(std::move(images[i]));
  }
  if (!attacked.empty()) {
    attack(model, attacked);
    if (bring_nearer) shorten(model, attacked);
    std::vector<ImageUnderAttack*> pointers;
    std::vector<AttackRecord*> of;
    for (std::size_t k = 0; k < attacked.size(); ++k) {
      pointers.push_back(&attacked[k]);
      of.push_back(&records[places[k]]);
    }
    judge_found(model, pointers, of);
    for (std::size_t k = 0; k < attacked.size(); ++k) images[places[k]] = std::move(attacked[k]);
  }
  for (std::size_t i = 0; certified && i < images.size(); ++i)
    records[i].nearest = images[i].nearest;
  return records;
}

/// The picture of a record's success.
std::span<const float> picture_of(const ImageUnderAttack& image, const AttackRecord& record) {
  for (const AttackedPicture& picture : image.found)
    if (picture.distance == record.distance && picture.restart == record.restart)
      return picture.pixels;
  return image.pixels;
}

}  // namespace

void check_subject(const std::filesystem::path& certificates, const Subject& certified,
                   const Subject& attacked) {
  for (std::size_t i = 0; i < certified.size(); ++i) {
    const auto& [what, of_log] = certified[i];
    if (of_log != attacked[i].second)
      fail("{}: these certificates are about another {}: {}, where {} is attacked",
           certificates.string(), what, of_log, attacked[i].second);
  }
}

CertificatesUnderAttack certificates_under_attack(const std::filesystem::path& path,
                                                  const AttackLogHeader& attack) {
  CertificateLog log = read_certificate_log(path);
  const CertificateLogHeader& h = log.header;
  check_subject(path, subject_of(h, h.calibration.attack_norm),
                subject_of(attack, attack.options.norm));
  check_subject(path, {{"score type", std::string(name(h.options.scores))}},
                {{"score type", std::string(name(ScoreType::argmax))}});
  const bool lattice = h.calibration.lattice_step > 0.0;
  if (lattice != (attack.calibration.lattice_step > 0.0))
    fail(
        "{}: these certificates are about noise {}, and the attack would be judged by noise {}: "
        "attack {} --sound",
        path.string(), lattice ? "on a lattice" : "in floats",
        lattice ? "in floats" : "on a lattice", lattice ? "with" : "without");
  if (h.calibration.mechanism == Mechanism::none)
    fail("{}: a model without noise has no certificates to attack", path.string());
  if (h.options.top != 1)
    fail(
        "{}: these certificates say that a label stays among the {} first; attacks look for "
        "another first label, which contradicts none of them: take certificates of the first label "
        "('pixeldp recertify LOG --top 1')",
        path.string(), h.options.top);
  CertificatesUnderAttack all{.sha256 = sha256_file(path), .header = h, .records = {}};
  for (CertificateRecord& record : log.records) {
    const std::int64_t image = record.image;
    all.records.emplace(image, std::move(record));
  }
  return all;
}

AttackLogHeader attack_header(const Model& model, const std::string& model_sha256,
                              const Dataset& dataset, const AttackOptions& options,
                              const Device& device, const BodyPrecision& body, bool radii,
                              bool sound) {
  check_images_fit(model, dataset);
  // Only what is certified needs a sensitivity that bounds the model.
  const Calibration calibration = sound               ? on_lattice(model).calibration
                                  : options.certified ? charged(check_certifiable(model), model)
                                                      : model.calibration;
  check_attack(options, dataset.image_size(), model.network.classes(), calibration, radii);
  return {.model_sha256 = model_sha256,
          .dataset = dataset.name,
          .dataset_sha256 = dataset.sha256(),
          .split = dataset.split,
          .calibration = calibration,
          .noise_at_certification = model.noise_at_certification,
          .function = body_function(device, body, lower(Stream(), model.network).body),
          .options = options,
          .certificates_sha256 = {}};
}

std::int64_t usual_batch(const AttackOptions& o, const Device& device) {
  if (o.kind == AttackKind::random) return 16;
  const std::int64_t rows = device.kind == DeviceKind::cuda ? 512 : 64;
  return std::max<std::int64_t>(1, rows / o.draws);
}

std::vector<AttackRecord> attack_images(AttackedModel& model, const Dataset& dataset,
                                        std::span<const std::int64_t> images) {
  std::vector<ImageUnderAttack> batch;
  for (const std::int64_t image : images)
    batch.push_back(begin(model, dataset, image, dataset.classes, *model.options().size));
  return attack_batch(model, batch, images, false);
}

AttackSummary attack_dataset(Model& model, const Dataset& dataset, const AttackLogHeader& header,
                             const BodyPrecision& body, const AttackRunOptions& o,
                             const std::filesystem::path& path) {
  const AttackOptions& options = header.options;
  AttackedModel attacked(model, header.calibration, options, o.device, body);
  AttackLog log(path, header, o.resume);
  std::vector<std::int64_t> todo;
  for (const std::int64_t image : o.images)
    if (!log.records().contains(image)) todo.push_back(image);
  const std::int64_t before = std::ssize(o.images) - std::ssize(todo);
  ProgressBar progress("attack " + model.name, std::ssize(o.images), "images", before);
  const auto start = std::chrono::steady_clock::now();
  const auto batch =
      static_cast<std::size_t>(o.batch > 0 ? o.batch : usual_batch(options, o.device));
  const auto size_of = [&](std::int64_t image) {
    if (options.size) return *options.size;
    return options.kind == AttackKind::cw ? std::numeric_limits<double>::infinity()
                                          : o.certificates->records.at(image).radius;
  };
  for (std::size_t first = 0; first < todo.size() && !interrupted(); first += batch) {
    const auto numbers = std::span(todo).subspan(first, std::min(batch, todo.size() - first));
    std::vector<ImageUnderAttack> images;
    for (const std::int64_t number : numbers)
      images.push_back(begin(attacked, dataset, number, dataset.classes, size_of(number)));
    std::vector<AttackRecord> records =
        attack_batch(attacked, images, numbers, o.certificates != nullptr);
    for (std::size_t i = 0; i < records.size(); ++i) {
      const std::span<const float> picture = picture_of(images[i], records[i]);
      if (!o.save.empty() && records[i].restart >= 0)
        save_picture(o.save, records[i].image, dataset, picture, attacked.pixels());
      if (o.certificates)
        save_if_violation(o.violations, *o.certificates, header, records[i], dataset, picture,
                          attacked.pixels());
      log.append(std::move(records[i]));
      progress.advance();
    }
  }
  progress.finish();
  AttackSummary summary{.records = {},
                        .gradient_rows = attacked.gradient_rows(),
                        .votes_cast = attacked.votes_cast()};
  summary.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (const std::int64_t image : o.images) {
    const auto found = log.records().find(image);
    if (found == log.records().end()) {
      fail_interrupted("interrupted; all attacks so far are in {}, continue with --resume",
                       path.string());
    }
    summary.records.push_back(found->second);
  }
  return summary;
}

double accuracy(std::span<const AttackRecord> records) {
  if (records.empty()) fail("no attacks, so no accuracy");
  return static_cast<double>(std::ranges::count_if(records, &AttackRecord::clean_right)) /
         static_cast<double>(records.size());
}

double accuracy_under_attack(std::span<const AttackRecord> records, std::optional<double> size) {
  if (records.empty()) fail("no attacks, so no accuracy");
  const auto stands = [&](const AttackRecord& record) {
    return record.clean_right() &&
           !record.succeeds_within(size.value_or(std::numeric_limits<double>::infinity()));
  };
  return static_cast<double>(std::ranges::count_if(records, stands)) /
         static_cast<double>(records.size());
}

RobustPrecision robust_precision(std::span<const AttackRecord> records,
                                 std::optional<double> size) {
  const double far = size.value_or(std::numeric_limits<double>::infinity());
  RobustPrecision result;
  for (const AttackRecord& record : records) {
    const auto within = [&](Outcome outcome) {
      const auto nearest = record.nearest[static_cast<std::size_t>(outcome)];
      return nearest && *nearest <= far;
    };
    if (record.succeeds_within(far))
      ++result.wrong;
    else if (record.clean_right() && within(Outcome::right_certified) && !within(Outcome::right) &&
             !within(Outcome::wrong))
      ++result.right;
  }
  return result;
}

}  // namespace pixeldp
