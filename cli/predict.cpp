#include <map>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/certificate_arguments.hpp"
#include "cli/certificate_summary.hpp"
#include "cli/commands.hpp"
#include "cli/noise_arguments.hpp"
#include "cli/regression.hpp"
#include "cli/run_folder.hpp"
#include "engine/communicator.hpp"
#include "engine/error.hpp"
#include "engine/interrupt.hpp"
#include "engine/io/class_names.hpp"
#include "engine/io/file.hpp"
#include "engine/io/resize.hpp"
#include "engine/text.hpp"
#include "pixeldp/conditions.hpp"
#include "pixeldp/float_noise.hpp"
#include "pixeldp/lattice_prefix.hpp"
#include "pixeldp/network_sensitivity.hpp"
#include "pixeldp/regression/output_sampler.hpp"
#include "pixeldp/sampler.hpp"
#include "pixeldp/shared_draws.hpp"

namespace pixeldp::cli {
namespace {

struct PredictOptions {
  std::string run, directory, device = "cpu", scores = "argmax", precision, algorithm;
  CertificateArguments certificate;
  NoiseArguments noise;
  RegressionArguments regression;
  std::optional<double> radius;
  std::vector<std::string> images;
  std::uint32_t draws = 300;
  std::uint64_t seed = 1;
  bool sound = false, json = false;
};

/// One image to predict: its pixels, and the number that addresses its noise.
struct Input {
  std::string name;
  std::vector<float> pixels;
  std::uint32_t id = 0;
};

/// A file, or "test:17" and "train:17" for an image of the data set that the model was trained on.
Input load_input(const std::string& text, const Model& model, const PredictOptions& o,
                 std::map<std::string, Dataset>& sets) {
  const layers::NetworkSpec& spec = model.spec;
  const auto shift = static_cast<float>(model.pixel_shift);
  Input input{.name = text, .pixels = {}, .id = 0};
  input.pixels.resize(static_cast<std::size_t>(spec.height * spec.width * spec.channels));

  const auto colon = text.find(':');
  const std::string split = text.substr(0, colon);
  if (colon != std::string::npos && (split == "test" || split == "train")) {
    if (!sets.contains(split)) {
      sets.emplace(split, load_evaluation_set(model, "", split, o.directory));
      check_images_fit(model, sets.at(split));
    }
    const Dataset& set = sets.at(split);
    const std::int64_t index = parse_number<std::int64_t>(text.substr(colon + 1)).value_or(-1);
    if (index < 0 || index >= set.size())
      fail_usage("'{}': after the colon goes an image number from 0 to {}", text, set.size() - 1);
    to_float(set, index, index + 1, input.pixels.data(), shift);
    input.id = set.image_id(index);
    return input;
  }
  Image image = read_image(text, spec.channels);
  if (image_form(model.dataset).of_any_size())
    image = resized_centre(image, image_form(model).resized_side(), spec.height, spec.width);
  if (image.height != spec.height || image.width != spec.width) {
    fail("{}: the picture has {}x{} pixels, but the model takes {}x{}; crop or resize it first",
         text, image.width, image.height, spec.width, spec.height);
  }
  for (std::size_t i = 0; i < image.pixels.size(); ++i) {
    input.pixels[i] = pixel_value(image.pixels[i], shift);
  }
  // Two files with the same contents are the same image, wherever they lie.
  input.id =
      static_cast<std::uint32_t>(std::stoul(sha256_hex(image.pixels).substr(0, 8), nullptr, 16));
  return input;
}

/// Throws an Error where ranks would not all draw the same (Communicator::check_same).
template <class Header>
void check_same_draws(Communicator& ranks, Header header, const RunModel& run,
                      const PredictOptions& o, const std::vector<Input>& inputs) {
  if (ranks.size() == 1) return;
  header.model_sha256 = run.sha256, header.seed = o.seed;
  Sha256 images;
  for (const Input& input : inputs) {
    images.update(as_bytes(fmt::format("{} ", input.id)));
    images.update({reinterpret_cast<const std::uint8_t*>(input.pixels.data()),
                   input.pixels.size() * sizeof(float)});
  }
  std::vector<Communicator::Fact> facts = header.fields();
  facts.emplace_back("images", images.hex());
  ranks.check_same(std::move(facts));
}

/// After the last image, or the last before an interruption of any rank.
void check_finished(Communicator& ranks, const PredictOptions& o, std::size_t predicted) {
  if (predicted == o.images.size()) return;
  const int signal = interrupt_signal(ranks);
  if (o.json) throw Interruption("interrupted; nothing was printed, start again", signal);
  throw Interruption(fmt::format("interrupted after {} of {} images; start again with the others",
                                 predicted, o.images.size()),
                     signal);
}

/// Each image's interval within a radius, by default that which the noise was made for, and the
/// radius within which it moves so far at most, by default a tenth of the range.
void predict_output(const PredictOptions& o, const RunModel& run, Communicator& ranks) {
  if (o.noise.noise()) fail_usage("--noise is for classifiers: train a regression network with it");
  if (o.sound) fail_usage("--sound is for classifiers, and this network is one for regression");
  const Calibration calibration = charged(check_certifiable(run.model), run.model);
  const kernels::RealOutput& output = *run.model.spec.output;
  const OutputOptions options = o.regression.options(o.certificate);
  check_output_options(options, output, calibration);
  const double radius = o.radius.value_or(calibration.construction.value().bound);
  const double move = o.regression.move.value_or(output.width() / 10.0);
  check_positive("--radius", radius);
  check_positive("--move", move);
  std::map<std::string, Dataset> sets;
  std::vector<Input> inputs;
  for (const std::string& image : o.images) inputs.push_back(load_input(image, run.model, o, sets));
  OutputSampler sampler(chosen_device(o.device), run.model.spec, run.model.network, 0,
                        {chosen_precision(o.precision), nullptr, chosen_algorithm(o.algorithm)});
  RegressionLogHeader header{.output = output,
                             .calibration = calibration,
                             .options = options,
                             .function = sampler.function(),
                             .draws = o.draws,
                             .radius = radius,
                             .move = move,
                             .ledger = {options}};
  check_same_draws(ranks, header, run, o, inputs);
  if (!o.json && ranks.first()) fmt::print("{}\n", conditions_text(header));
  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  std::size_t predicted = 0;
  sample_by_ranks<OutputSampler, OutputStatistics>(
      ranks, sampler, std::ssize(inputs),
      {.seed = o.seed, .tag = StreamTag::estimation, .count = o.draws, .interruptible = true},
      [&](std::int64_t i, float* pixels) {
        const Input& input = inputs[static_cast<std::size_t>(i)];
        std::copy(input.pixels.begin(), input.pixels.end(), pixels);
        return input.id;
      },
      {},
      [&](std::int64_t i, const OutputStatistics& statistics) {
        ++predicted;
        if (!ranks.first()) return;
        RegressionRecord record{.image = i, .statistics = statistics};
        derive(header, record);
        const std::string& image = inputs[static_cast<std::size_t>(i)].name;
        if (o.json) {
          results.push_back({{"image", image},
                             {"prediction", record.prediction},
                             {"interval", {record.interval->low, record.interval->high}},
                             {"radius", *record.radius}});
          return;
        }
        fmt::print(
            "{}: {:.4g}; from {} to {} within radius {}; moves at most {} within radius {}\n",
            image, record.prediction, rounded_signed(record.interval->low, true),
            rounded_signed(record.interval->high, false), radius, move,
            rounded(*record.radius, true));
      });
  check_finished(ranks, o, predicted);
  if (!o.json || !ranks.first()) return;
  const nlohmann::ordered_json report = {{"prediction", name(options.prediction)},
                                         {"certificate", name(options.kind)},
                                         {"bound", name(options.bound)},
                                         {"alpha", options.alpha},
                                         {"draws", o.draws},
                                         {"radius", radius},
                                         {"move", move},
                                         {"predictions", results}};
  fmt::print("{}\n", report.dump());
}

void run(const PredictOptions& o) {
  install_interrupt_handler();
  Communicator& ranks = join_ranks();
  RunModel run = load_run(o.run);
  if (run.model.spec.output) return predict_output(o, run, ranks);
  o.regression.refuse_given();
  if (o.radius) fail_usage("--radius is for regression networks, and this one is a classifier");
  const Stream stream(chosen_device(o.device));
  const CertificateOptions options = o.certificate.options(parse_score_type(o.scores));
  const auto precision = chosen_precision(o.precision);
  o.noise.give_to(run.model, precision);
  const bool noisy = run.model.calibration.mechanism != Mechanism::none;
  CertificateLogHeader conditions;
  std::optional<LatticeModel> lattice;
  if (o.sound) lattice = on_lattice(run.model);
  conditions.calibration = o.sound ? lattice->calibration
                           : noisy ? charged(check_certifiable(run.model), run.model)
                                   : run.model.calibration;
  conditions.options = options;
  conditions.draws = noisy ? o.draws : 1;
  std::map<std::string, Dataset> sets;
  std::vector<Input> inputs;
  for (const std::string& image : o.images) inputs.push_back(load_input(image, run.model, o, sets));

  std::vector<Calibration> norms;
  if (noisy) {
    norms =
        in_all_norms(conditions.calibration,
                     lattice ? lattice->norms : network_norms(run.model.network, run.model.form));
  }
  if (noisy && ranks.first())
    warn_of_too_few_draws(o.draws, run.model, conditions.calibration, options,
                          Selection::same_draws);
  std::size_t predicted = 0;
  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  Sampler sampler(stream, run.model.network, 0,
                  {precision, quantisation(run.model), chosen_algorithm(o.algorithm)},
                  lattice ? lattice->prefix : nullptr);
  conditions.function = sampler.function();
  check_same_draws(ranks, conditions, run, o, inputs);
  const bool histogram = options.kind == CertificateKind::cdf;
  sample_by_ranks<Sampler, ScoreStatistics>(
      ranks, sampler, std::ssize(inputs),
      {.seed = o.seed,
       .tag = StreamTag::estimation,
       .count = static_cast<std::uint32_t>(conditions.draws),
       .interruptible = true,
       .histogram = histogram},
      [&](std::int64_t i, float* pixels) {
        const Input& input = inputs[static_cast<std::size_t>(i)];
        std::copy(input.pixels.begin(), input.pixels.end(), pixels);
        return input.id;
      },
      no_scores(sampler.classes(), histogram),
      [&](std::int64_t i, const ScoreStatistics& statistics) {
        ++predicted;
        if (!ranks.first()) return;
        Certificate certificate{.prediction = statistics.top_label(options.scores)};
        if (noisy) certificate = certify(statistics, conditions.calibration, options);
        const std::string& name = inputs[static_cast<std::size_t>(i)].name;
        nlohmann::ordered_json radii = nlohmann::ordered_json::object();
        std::string in_norms;
        for (const Calibration& norm : norms) {
          const double radius = radius_of(certificate.size, norm);
          radii[std::string(pixeldp::name(norm.attack_norm))] = radius;
          in_norms += fmt::format("{}{} (norm {})", in_norms.empty() ? "" : ", ",
                                  rounded(radius, true), pixeldp::name(norm.attack_norm));
        }
        if (o.json) {
          results.push_back({{"image", name},
                             {"prediction", certificate.prediction},
                             {"radius", certificate.radius},
                             {"radii", radii},
                             {"lower", certificate.lower},
                             {"upper", certificate.upper},
                             {"counts", statistics.votes}});
          return;
        }
        if (predicted == 1) fmt::print("{}\n", conditions_text(conditions));
        const std::string label = run.model.class_names.empty()
                                      ? label_text(run.model.dataset, certificate.prediction)
                                      : label_text(run.model.class_names, certificate.prediction);
        if (certificate.radius > 0.0) {
          fmt::print("{}: label {}, certified{} within radius {}\n", name, label,
                     options.top == 1 ? "" : fmt::format(" among the {} first", options.top),
                     in_norms);
        } else {
          fmt::print("{}: label {}, not certified\n", name, label);
        }
      });
  check_finished(ranks, o, predicted);
  if (!o.json || !ranks.first()) return;
  nlohmann::ordered_json report = conditions_json(conditions);
  report["predictions"] = results;
  fmt::print("{}\n", report.dump());
}

}  // namespace

void add_predict(CLI::App& program) {
  CLI::App* command =
      program.add_subcommand("predict", "Label and certified radius of single images");
  auto o = std::make_shared<PredictOptions>();
  command->add_option("run", o->run, "Folder of a finished training run")
      ->required()
      ->type_name("RUN");
  command
      ->add_option("images", o->images,
                   "PNG or JPEG files, of the network's size unless it was trained on an image "
                   "folder, or test:N or train:N for image N of the data set")
      ->required()
      ->type_name("IMAGE");
  command->add_option("--draws", o->draws, "Noise draws per image")->capture_default_str();
  add_scores_option(*command, o->scores);
  o->certificate.add_to(*command);
  o->certificate.add_top_to(*command);
  o->regression.add_to(*command);
  command
      ->add_option("--radius", o->radius,
                   "Of a regression network: the radius of its interval (default: the one that its "
                   "noise was made for)")
      ->type_name("R");
  o->noise.add_to(*command, "for a model that was trained without");
  add_seed_option(*command, o->seed);
  command->add_option("--data", o->directory,
                      "Folder of the data set's files, for test:N and train:N");
  add_device_option(*command, o->device);
  add_precision_option(*command, o->precision);
  add_algorithm_option(*command, o->algorithm);
  command->add_flag("--sound", o->sound, "Noise whose law is known to the last bit, as of certify");
  command->add_flag("--json", o->json, "Print one JSON object on standard output");
  command->callback([o] { run(*o); });
}

}  // namespace pixeldp::cli
