#include <memory>
#include <optional>

#include <fmt/format.h>

#include "cli/certificate_arguments.hpp"
#include "cli/certificate_summary.hpp"
#include "cli/commands.hpp"
#include "cli/image_range.hpp"
#include "cli/noise_arguments.hpp"
#include "cli/regression.hpp"
#include "cli/run_folder.hpp"
#include "engine/error.hpp"
#include "engine/interrupt.hpp"
#include "engine/launcher.hpp"
#include "engine/notice.hpp"
#include "engine/text.hpp"
#include "pixeldp/certification.hpp"
#include "pixeldp/log_parts.hpp"
#include "pixeldp/recertification.hpp"

namespace pixeldp::cli {
namespace {

struct CertifyOptions {
  std::string run, split = "test", images, dataset, directory, output, device = "cpu";
  std::string scores = "argmax", precision, algorithm, looks, shard;
  CertificateArguments certificate;
  NoiseArguments noise;
  RegressionArguments regression;
  std::optional<std::uint32_t> draws, selection_draws, extend;
  std::optional<double> radius, tolerance;
  std::uint64_t seed = 1;
  std::int64_t micro_batch = 0;
  bool histogram = false, resume = false, sound = false, json = false;
};

/// Draws that stop by their counts: anytime bounds, and other draws for the label.
void plan_stopping(const CertifyOptions& o, CertificationOptions& options) {
  constexpr std::uint32_t usual_most = 100'000, usual_selection = 32;
  options.draws = o.draws.value_or(usual_most);
  options.selection_draws = o.selection_draws.value_or(usual_selection);
  const char* const option = o.radius ? "--radius" : "--tolerance";
  options.certificate =
      o.certificate.options_over({.scores = parse_score_type(o.scores), .bound = Bound::anytime});
  if (options.certificate.scores != ScoreType::argmax ||
      options.certificate.bound != Bound::anytime)
    fail_usage(
        "{} stops an image by its counts, and {} bounds of {} scores do not hold for such counts: "
        "take --scores argmax and --bound anytime",
        option, name(options.certificate.bound), name(options.certificate.scores));
  if (options.certificate.top != 1)
    fail_usage(
        "{} with --top: images stop by the certificate of their first label; leave --top out, and "
        "give it to recertify",
        option);
  if (options.selection_draws == 0)
    fail_usage(
        "{} with --selection-draws 0: the label must be known before its draws are looked at",
        option);
  options.stopping =
      stop_by(o.radius ? StoppingRule::radius : StoppingRule::tolerance,
              o.radius ? *o.radius : *o.tolerance, options.draws, options.certificate);
  if (const auto text = fault(options.stopping, options.draws)) fail_usage("{}: {}", option, *text);
}

void plan_fixed_draws(const CertifyOptions& o, CertificationOptions& options) {
  options.draws = o.draws.value_or(options.draws);
  options.selection_draws = o.selection_draws.value_or(0);
  options.certificate = o.certificate.options(parse_score_type(o.scores));
  check_bound(options.certificate.bound, options.certificate.scores,
              selection_of(options.selection_draws > 0));
}

/// The certificate of the first look, and what alpha is reserved for.
void plan_looks(const CertifyOptions& o, CertificationOptions& options) {
  const Look first{.draws = options.draws,
                   .scores = options.certificate.scores,
                   .bound = options.certificate.bound};
  std::vector<Look> looks = parse_looks(o.looks, first);
  looks.push_back(first);
  options.ledger = reserve_alpha(std::move(looks), options.certificate.alpha);
  options.certificate.alpha = options.ledger.front().alpha;
}

/// What --shard says: by default, the share of a task of an array.
ArrayTask chosen_shard(const CertifyOptions& o) {
  if (o.extend) return {};
  if (o.shard.empty()) {
    const ArrayTask task = array_task().value_or(ArrayTask{});
    if (task.count > 1)
      notice("task {0} of an array of {1}: this is --shard {0}/{1}; --shard 0/1 is all", task.index,
             task.count);
    return task;
  }
  const std::vector<std::string_view> parts = split(o.shard, '/');
  const auto index = parse_number<int>(parts.front()), count = parse_number<int>(parts.back());
  if (parts.size() != 2 || !index || !count)
    fail_usage("--shard takes I/N, share I of N from 0 on, not '{}'", o.shard);
  return {.index = *index, .count = *count};
}

/// The log that a share goes into.
std::filesystem::path log_path(const CertifyOptions& o, const RunModel& run,
                               const ArrayTask& shard) {
  const std::filesystem::path log =
      o.output.empty() ? run.folder / "certificates.jsonl" : std::filesystem::path(o.output);
  return shard.count > 1 ? part_path(log, shard.index) : log;
}

/// What a share of no image reports.
void print_nothing(const CertifyOptions& o, const ArrayTask& shard) {
  notice("shard {}/{} has no image: there are fewer than shards", shard.index, shard.count);
  if (o.json) fmt::print("{{\"images\": 0}}\n");
}

/// Throws a usage error for what a regression network does not take.
void refuse_for_regression(const CertifyOptions& o) {
  refuse_of_classifiers(o.scores != "argmax", "--scores");
  refuse_of_classifiers(o.selection_draws.has_value(), "--selection-draws");
  refuse_of_classifiers(o.tolerance.has_value(), "--tolerance");
  refuse_of_classifiers(!o.looks.empty(), "--looks");
  refuse_of_classifiers(o.extend.has_value(), "--extend");
  refuse_of_classifiers(o.histogram, "--histogram");
  refuse_of_classifiers(o.sound, "--sound");
  refuse_of_classifiers(o.noise.noise().has_value(), "--noise");
}

void certify_regression(const CertifyOptions& o, const RunModel& run) {
  refuse_for_regression(o);
  if (!o.radius && !o.regression.move)
    fail_usage(
        "a regression network is asked for an interval by --radius R, for a radius by --move T, or "
        "for both");
  const Dataset dataset = load_evaluation_set(run.model, o.dataset, o.split, o.directory);
  const ArrayTask shard = chosen_shard(o);
  const ImageRange images = parse_image_range(o.images, dataset.size());
  const ImageRange share = images.shard(shard.index, shard.count);
  if (share.count() == 0 && images.count() > 0) return print_nothing(o, shard);
  const std::filesystem::path log = log_path(o, run, shard);
  RegressionTask task{.device = chosen_device(o.device),
                      .options = o.regression.options(o.certificate),
                      .precision = chosen_precision(o.precision),
                      .algorithm = chosen_algorithm(o.algorithm),
                      .seed = o.seed,
                      .micro_batch = o.micro_batch,
                      .images = share,
                      .radius = o.radius,
                      .move = o.regression.move,
                      .resume = o.resume,
                      .ranks = &join_ranks()};
  task.draws = o.draws.value_or(task.draws);
  const RegressionSummary summary = certify_outputs(run.model, run.sha256, dataset, task, log);
  if (!task.ranks->first()) return;
  if (o.json) {
    nlohmann::ordered_json report = regression_json(summary.header, summary.records);
    report["log"] = log.string();
    report["new_draws"] = summary.new_draws;
    report["seconds"] = summary.seconds;
    fmt::print("{}\n", report.dump());
    return;
  }
  fmt::print("log               {}\n", log.string());
  print_regression(summary.header, summary.records);
}

void run(const CertifyOptions& o) {
  install_interrupt_handler();
  CertificationOptions options{.device = chosen_device(o.device),
                               .precision = chosen_precision(o.precision),
                               .algorithm = chosen_algorithm(o.algorithm),
                               .seed = o.seed,
                               .micro_batch = o.micro_batch,
                               .resume = o.resume,
                               .sound = o.sound,
                               .ranks = &join_ranks()};
  RunModel run = load_run(o.run);
  if (run.model.spec.output) return certify_regression(o, run);
  o.regression.refuse_given();
  o.radius || o.tolerance ? plan_stopping(o, options) : plan_fixed_draws(o, options);
  const ArrayTask shard = chosen_shard(o);
  options.histogram = o.histogram || options.certificate.kind == CertificateKind::cdf;
  plan_looks(o, options);
  o.noise.give_to(run.model, options.precision);
  const Dataset dataset = load_evaluation_set(run.model, o.dataset, o.split, o.directory);
  const ImageRange images = parse_image_range(o.images, dataset.size());
  options.images = images.shard(shard.index, shard.count);
  if (options.images.count() == 0 && images.count() > 0) return print_nothing(o, shard);
  const std::filesystem::path log = log_path(o, run, shard);
  if (!o.extend && options.ranks->first() && run.model.calibration.mechanism != Mechanism::none) {
    warn_of_too_few_draws(options.draws, run.model, certifying_calibration(run.model, options),
                          options.certificate, selection_of(options.selection_draws > 0));
  }

  CertificationSummary summary =
      o.extend ? extend_certification(run.model, run.sha256, dataset, options, *o.extend, log)
               : certify_dataset(run.model, run.sha256, dataset, options, log);
  if (!options.ranks->first()) return;
  summary.records = records_of_labels(summary.header, std::move(summary.records));

  const double rate =
      summary.seconds > 0.0 ? static_cast<double>(summary.new_draws) / summary.seconds : 0.0;
  if (o.json) {
    nlohmann::ordered_json report =
        summary_json(summary.header, summary.records, thresholds_for(summary.header));
    report["log"] = log.string();
    report["noise_at_certification"] = summary.header.noise_at_certification;
    report["new_draws"] = summary.new_draws;
    report["seconds"] = summary.seconds;
    report["draws_per_second"] = rate;
    fmt::print("{}\n", report.dump());
    return;
  }
  fmt::print("log               {}\n", log.string());
  if (summary.header.noise_at_certification) {
    fmt::print("noise             {}, given now: the model was trained without\n",
               noise_text(summary.header.calibration));
  }
  print_summary(summary.header, summary.records);
  if (const Calibration& calibration = summary.header.calibration;
      calibration.mechanism != Mechanism::none) {
    const std::string others = other_norms(run.model, calibration);
    if (!others.empty())
      fmt::print("\nthese are radii in the {}-norm; times so much in other norms: {}\n",
                 name(calibration.attack_norm), others);
  }
  if (summary.new_draws > 0) {
    fmt::print("\n{} draws in {:.2f} s: {:.0f} draws per second\n", summary.new_draws,
               summary.seconds, rate);
  }
}

}  // namespace

void add_certify(CLI::App& program) {
  CLI::App* command =
      program.add_subcommand("certify", "Certify the predictions of a trained model on a data set");
  auto o = std::make_shared<CertifyOptions>();
  command->add_option("run", o->run, "Folder of a finished training run")
      ->required()
      ->type_name("RUN");
  command->add_option("--split", o->split, "Which part of the data set")
      ->check(CLI::IsMember({"test", "train"}))
      ->capture_default_str();
  command
      ->add_option(
          "--images", o->images,
          "Image numbers from A up to but not including B, every STEP-th of them; each part may be "
          "left out (default: all)")
      ->type_name("A:B:STEP");
  command->add_option("--draws", o->draws,
                      "Noise draws per image (default: 300), at most where --radius or --tolerance "
                      "stops them (default: 100000)");
  command->add_option(
      "--selection-draws", o->selection_draws,
      "Draws per image that choose the label beforehand (default: 32 with --radius or --tolerance, "
      "else 0: the same draws choose and certify)");
  CLI::Option* radius =
      command
          ->add_option(
              "--radius", o->radius,
              "Stop an image's draws when this radius is proved or out of reach; of a "
              "regression network: the interval that its prediction cannot leave within it")
          ->type_name("R");
  CLI::Option* tolerance =
      command
          ->add_option("--tolerance", o->tolerance,
                       "Stop an image's draws when its radius is known to this share of it, as in "
                       "0.1: all but a tenth of what is in reach is proved")
          ->type_name("P")
          ->excludes(radius);
  add_scores_option(*command, o->scores);
  o->certificate.add_to(*command);
  o->certificate.add_top_to(*command);
  o->regression.add_to(*command);
  command->add_flag("--histogram", o->histogram,
                    "Count each class's softmax scores against 32 thresholds as well, which "
                    "--certificate cdf is made of, now or by recertify");
  o->noise.add_to(*command, "for a model that was trained without");
  add_seed_option(*command, o->seed);
  command->add_option("--dataset", o->dataset,
                      "Data set to certify on (default: the one trained on)");
  command->add_option("--data", o->directory,
                      "Folder of the data set's files (default: $PIXELDP_DATA/NAME)");
  command->add_option("--output", o->output, "Certificate log (default: RUN/certificates.jsonl)");
  add_device_option(*command, o->device);
  add_precision_option(*command, o->precision);
  add_algorithm_option(*command, o->algorithm);
  command->add_option(
      "--micro-batch", o->micro_batch,
      "Rows (image, draw) evaluated at a time; fewer need less memory; 0: what suits "
      "the device");
  command
      ->add_option("--looks", o->looks,
                   "Further looks at the counts that share --alpha with this one, as in "
                   "1000,softmax,1000:hoeffding: numbers of draws for --extend, scores and bounds "
                   "for recertify")
      ->type_name("LOOK,...");
  CLI::Option* extend =
      command
          ->add_option("--extend", o->extend,
                       "Make so many more draws of each image of the finished log, which must have "
                       "been made with --looks for that number; all else stays as it is in the log")
          ->type_name("N");
  for (const char* of_log :
       {"--images", "--draws", "--selection-draws", "--scores", "--alpha", "--bound",
        "--certificate", "--top", "--histogram", "--seed", "--looks", "--radius", "--tolerance"})
    extend->excludes(command->get_option(of_log));
  for (CLI::Option* stopping : {radius, tolerance})
    stopping->excludes(command->get_option("--looks"));
  CLI::Option* shard =
      command
          ->add_option(
              "--shard", o->shard,
              "Certify share I of N, from 0, into a log of its own, LOG.part-I; 'merge', or "
              "--resume without --shard, makes one log of all (default: the share of this "
              "task in a Slurm array; else all)")
          ->type_name("I/N");
  shard->excludes(extend);
  command
      ->add_flag("--sound", o->sound,
                 "Noise whose law is known to the last bit, on a lattice, after layers in whole "
                 "numbers: certificates hold for what the processor does, not for real numbers "
                 "alone")
      ->excludes(extend);
  command->add_flag("--resume", o->resume,
                    "Continue the log of an interrupted run, with all that its parts hold");
  command->add_flag("--json", o->json, "Print one JSON object on standard output");
  command->callback([o] { run(*o); });
}

}  // namespace pixeldp::cli
