#include <charconv>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/attack_arguments.hpp"
#include "cli/attack_summary.hpp"
#include "cli/commands.hpp"
#include "cli/image_range.hpp"
#include "cli/regression.hpp"
#include "cli/regression_attack.hpp"
#include "cli/run_folder.hpp"
#include "engine/error.hpp"
#include "engine/interrupt.hpp"
#include "engine/progress.hpp"
#include "pixeldp/attacks/sandwich.hpp"
#include "pixeldp/attacks/sanity.hpp"
#include "pixeldp/conditions.hpp"
#include "pixeldp/metrics.hpp"

namespace pixeldp::cli {
namespace {

using Json = nlohmann::ordered_json;

struct AttackCommand {
  std::string run, split = "test", images, dataset, directory, output, save, certificates;
  std::string device = "cpu", precision, algorithm;
  AttackArguments attack;
  NoiseArguments noise;
  std::int64_t batch = 0;
  bool resume = false, json = false, sanity = false, sound = false;
};

/// How votes are computed after the noise.
BodyPrecision body_of(const AttackCommand& o, const Model& model) {
  return {chosen_precision(o.precision), quantisation(model), chosen_algorithm(o.algorithm)};
}

/// The images asked for; of these, with certificates, those that have one.
std::vector<std::int64_t> images_to_attack(const AttackCommand& o, const Dataset& dataset,
                                           const CertificatesUnderAttack* certificates) {
  const auto images = chosen_images(o.images, dataset, [&](std::int64_t image) {
    return !certificates || certificates->records.contains(image);
  });
  if (images.empty()) fail_usage("{}: none of the images asked for is certified", o.certificates);
  return images;
}

Json to_json(const Sandwich& sandwich, double alpha) {
  Json points = Json::array();
  for (const Sandwich::Point& point : sandwich.points) {
    points.push_back({{"size", point.size},
                      {"certified_accuracy", point.certified_accuracy},
                      {"accuracy_under_attack", point.accuracy_under_attack},
                      {"accuracy", point.accuracy},
                      {"ordered", point.ordered()}});
  }
  return {{"images", sandwich.images},
          {"certificates", sandwich.tested},
          {"violations", sandwich.violations},
          {"alpha", alpha},
          {"explained_by_chance", sandwich.explained},
          {"holds", sandwich.holds()},
          {"sizes", points}};
}

void print(const Sandwich& sandwich, double alpha) {
  fmt::print("\nsize        certified accuracy   under attack   accuracy\n");
  for (const Sandwich::Point& point : sandwich.points) {
    fmt::print("{:9.4f} {:18.2f} % {:12.2f} % {:8.2f} %{}\n", point.size,
               100.0 * point.certified_accuracy, 100.0 * point.accuracy_under_attack,
               100.0 * point.accuracy, point.ordered() ? "" : "   out of order");
  }
  fmt::print(
      "\ncertificates      {}, of which attacks contradict {}; chance explains up to {} at "
      "alpha {}\n",
      sandwich.tested, sandwich.violations.size(), sandwich.explained, alpha);
}

/// Every size of the tables, and those where something happens.
std::vector<double> sizes_to_show(const AttackOptions& o) {
  std::vector<double> sizes = default_thresholds();
  if (o.size) sizes.push_back(*o.size);
  std::ranges::sort(sizes);
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  return sizes;
}

void run_sanity(const AttackCommand& o, RunModel& run, const Dataset& dataset,
                const Calibration& calibration, const AttackOptions& options,
                const std::vector<std::int64_t>& images) {
  if (options.kind != AttackKind::pgd || options.targeted || options.certified ||
      !o.certificates.empty() || !o.save.empty() || !o.output.empty() || o.resume)
    fail_usage(
        "--sanity compares pgd with other attacks and writes nothing: it takes none of "
        "--attack, --targeted, --against, --certificates, --save, --output, --resume");
  const Device device = Device::parse(o.device);
  const bool noisy = run.model.calibration.mechanism != Mechanism::none;
  const auto attacked = [&](const AttackOptions& of_attack) {
    AttackedModel model(run.model, calibration, of_attack, device, body_of(o, run.model));
    ProgressBar progress(fmt::format("{}, size {:.4g}", name(of_attack.kind), *of_attack.size),
                         std::ssize(images), "images");
    std::vector<AttackRecord> records;
    const auto batch =
        static_cast<std::size_t>(o.batch > 0 ? o.batch : usual_batch(of_attack, device));
    for (std::size_t first = 0; first < images.size(); first += batch) {
      const auto some = std::span(images).subspan(first, std::min(batch, images.size() - first));
      for (AttackRecord& record : attack_images(model, dataset, some))
        records.push_back(std::move(record));
      if (interrupted()) fail_interrupted("interrupted; nothing was written, start again");
      progress.advance(std::ssize(some));
    }
    return records;
  };
  const Sanity sanity = check_sanity(options, dataset.image_size(), noisy, attacked);
  if (o.json) {
    Json points = Json::array();
    for (const Sanity::Point& point : sanity.points)
      points.push_back({{"size", point.size}, {"accuracy_under_attack", point.accuracy}});
    const Json json = {{"images", images.size()},
                       {"norm", name(options.norm)},
                       {"accuracy", sanity.accuracy},
                       {"sizes", points},
                       {"compared_at", sanity.compared_at},
                       {"pgd", sanity.pgd},
                       {"fgsm", sanity.fgsm},
                       {"random", sanity.random},
                       {"falls_to_zero", sanity.falls_to_zero()},
                       {"beats_random", sanity.beats_random()},
                       {"beats_one_step", sanity.beats_one_step()},
                       {"passed", sanity.passed()}};
    fmt::print("{}\n", json.dump());
  } else {
    fmt::print("accuracy of {} images: {:.1f} %\n\nsize       under pgd\n", images.size(),
               100.0 * sanity.accuracy);
    for (const Sanity::Point& point : sanity.points)
      fmt::print("{:9.4f} {:8.1f} %\n", point.size, 100.0 * point.accuracy);
    fmt::print(
        "\nat {:.4g}: {:.1f} % under pgd, {:.1f} % after one step, {:.1f} % on random "
        "pictures\n",
        sanity.compared_at, 100.0 * sanity.pgd, 100.0 * sanity.fgsm, 100.0 * sanity.random);
    const auto verdict = [](bool is) { return is ? "yes" : "NO"; };
    fmt::print(
        "accuracy falls to 0: {}; gradients beat random pictures by far: {}; many steps "
        "beat one: {}\n",
        verdict(sanity.falls_to_zero()), verdict(sanity.beats_random()),
        verdict(sanity.beats_one_step()));
  }
  if (!sanity.passed())
    fail("these gradients lead nowhere: accuracy under this attack says little about the model");
}

/// Of a regression network.
void attack_outputs_of(const AttackCommand& o, RunModel& run, const Device& device,
                       const BodyPrecision& body) {
  refuse_of_classifiers(o.sanity, "--sanity");
  refuse_of_classifiers(o.sound, "--sound");
  refuse_of_classifiers(!o.save.empty(), "--save");
  refuse_of_classifiers(o.noise.noise().has_value(), "--noise");
  if (o.batch < 0) fail_usage("--batch {}: at least one image is attacked at a time", o.batch);
  const Dataset dataset = load_evaluation_set(run.model, o.dataset, o.split, o.directory);
  attack_regression({.run = run,
                     .dataset = dataset,
                     .options = o.attack.output_options(run.model.calibration),
                     .device = device,
                     .body = body,
                     .images = o.images,
                     .certificates = o.certificates,
                     .output = o.output,
                     .batch = o.batch,
                     .resume = o.resume,
                     .json = o.json});
}

void run(const AttackCommand& o) {
  install_interrupt_handler();
  const Device device = Device::parse(o.device);
  RunModel run = load_run(o.run);
  const BodyPrecision body = body_of(o, run.model);
  if (run.model.spec.output) return attack_outputs_of(o, run, device, body);
  o.noise.give_to(run.model, body.precision);
  const Dataset dataset = load_evaluation_set(run.model, o.dataset, o.split, o.directory);
  const AttackOptions options = o.attack.options(run.model.calibration, o.sanity);
  if (o.batch < 0) fail_usage("--batch {}: at least one image is attacked at a time", o.batch);
  AttackLogHeader header = attack_header(run.model, run.sha256, dataset, options, device, body,
                                         !o.certificates.empty(), o.sound);
  if (o.sanity)
    return run_sanity(o, run, dataset, header.calibration, options,
                      images_to_attack(o, dataset, nullptr));

  AttackRunOptions how{.device = device,
                       .images = {},
                       .batch = o.batch,
                       .resume = o.resume,
                       .save = o.save,
                       .certificates = nullptr,
                       .violations = {}};
  const std::filesystem::path log =
      o.output.empty() ? run.folder / "attacks.jsonl" : std::filesystem::path(o.output);
  std::optional<CertificatesUnderAttack> certificates;
  if (!o.certificates.empty()) {
    if (options.targeted || options.certified)
      fail_usage(
          "--certificates: it is any change of a prediction that contradicts one; leave out "
          "--targeted and --against");
    certificates = certificates_under_attack(o.certificates, header);
    how.certificates = &*certificates;
    how.violations = std::filesystem::path(log).replace_extension("violations");
    header.certificates_sha256 = certificates->sha256;
  }
  how.images = images_to_attack(o, dataset, how.certificates);

  const AttackSummary summary = attack_dataset(run.model, dataset, header, body, how, log);
  Json json = attack_json(summary.records, options);
  json["gradient_rows"] = summary.gradient_rows;
  json["votes_cast"] = summary.votes_cast;
  json["seconds"] = summary.seconds;
  json["log"] = log.string();
  std::optional<Sandwich> held;
  if (certificates) {
    held = sandwich(*certificates, summary.records, sizes_to_show(options));
    json["sandwich"] = to_json(*held, certificates->header.options.alpha);
  }
  if (o.json) {
    fmt::print("{}\n", json.dump());
  } else {
    fmt::print("log               {}\n", log.string());
    print_attack(json, options, fmt::format("{} of {}", dataset.split, dataset.name));
    fmt::print("work              {} gradient rows and {} votes in {:.1f} s\n",
               summary.gradient_rows, summary.votes_cast, summary.seconds);
    if (held) print(*held, certificates->header.options.alpha);
  }
  if (held && !held->holds()) {
    fail("{} of {} certificates are wrong, where chance explains {}: their pictures are in {}",
         held->violations.size(), held->tested, held->explained, how.violations.string());
  }
}

}  // namespace

void add_attack(CLI::App& program) {
  CLI::App* command = program.add_subcommand(
      "attack",
      "Look for pictures near those of a data set that a trained model gets wrong, or "
      "whose predicted number is far from theirs");
  auto o = std::make_shared<AttackCommand>();
  command->add_option("run", o->run, "Folder of a finished training run")
      ->required()
      ->type_name("RUN");
  o->attack.add_to(*command);
  command->add_flag("--sanity", o->sanity,
                    "Whether gradients are masked: pgd at growing sizes, against random pictures "
                    "and one step; no log");
  command
      ->add_option("--certificates", o->certificates,
                   "A certificate log of this model: attack its images, within their certified "
                   "radii unless there is a --size, and test whether any is wrong")
      ->type_name("LOG");
  command
      ->add_option("--images", o->images,
                   "Image numbers from A up to but not including B, every STEP-th of them; each "
                   "part may be left out (default: all)")
      ->type_name("A:B:STEP");
  command->add_option("--split", o->split, "Which part of the data set")
      ->check(CLI::IsMember({"test", "train"}))
      ->capture_default_str();
  command->add_option("--dataset", o->dataset,
                      "Data set to attack on (default: the one trained on)");
  command->add_option("--data", o->directory,
                      "Folder of the data set's files (default: $PIXELDP_DATA/NAME)");
  o->noise.add_to(*command, "for a model that was trained without");
  command->add_option("--output", o->output, "Attack log (default: RUN/attacks.jsonl)");
  command->add_option("--save", o->save, "Folder for the pictures that succeed, as PNG files")
      ->type_name("FOLDER");
  add_device_option(*command, o->device);
  add_precision_option(*command, o->precision);
  add_algorithm_option(*command, o->algorithm);
  command->add_option("--batch", o->batch,
                      "Images attacked at a time; the process's end loses no more; 0: what suits "
                      "the device");
  command->add_flag("--sound", o->sound,
                    "Judge by noise whose law is known to the last bit, as of certify --sound, and "
                    "pictures of 8 bits");
  command->add_flag("--resume", o->resume, "Continue the log of an interrupted attack");
  command->add_flag("--json", o->json, "Print one JSON object on standard output");
  command->callback([o] { run(*o); });
}

}  // namespace pixeldp::cli
