#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/noise_arguments.hpp"
#include "engine/error.hpp"
#include "engine/io/dataset.hpp"
#include "pixeldp/autoencoder.hpp"
#include "pixeldp/import_onnx.hpp"

namespace pixeldp::cli {
namespace {

struct ImportOptions {
  std::string file, output, name, dataset, architecture, autoencoder;
  layers::NetworkSpec spec;
  std::optional<std::int64_t> height, width;
  std::int64_t short_side = 0;
  double pixel_shift = 0.0;
  NoiseArguments noise;
  bool json = false;
};

/// All but those that stand before a network of their own.
std::vector<std::string> importable_architectures() {
  std::vector<std::string> names = layers::architecture_names();
  std::erase(names, "autoencoder");
  return names;
}

/// How the network takes its images, so that a wrong or forgotten normalisation shows.
void print_pixels(const Model& model) {
  const layers::NetworkSpec& spec = model.spec;
  const std::string range =
      fmt::format("pixels            {:g} to {:g}", model.pixel_shift, 1.0 + model.pixel_shift);
  if (spec.standardise) {
    fmt::print("{}, each image standardised\n", range);
  } else if (spec.input_mean.empty()) {
    fmt::print(
        "{}, not normalised: if it was trained on normalised images, give --mean and --std\n",
        range);
  } else {
    fmt::print("{}, normalised by means {} and deviations {}\n", range,
               fmt::join(spec.input_mean, ", "), fmt::join(spec.input_deviation, ", "));
  }
}

/// A network of others, and the files that it was read from, its own first.
struct Imported {
  Model model;
  std::vector<std::filesystem::path> files;
};

/// Weights for an architecture that was named.
Imported import_weights(const ImportOptions& o, const ImageForm& form,
                        const pixeldp::ImportOptions& options) {
  if (o.architecture.empty())
    fail_usage(
        "{}: weights do not say whose they are: --architecture does ({}); of .onnx files alone the "
        "whole network is read",
        o.file, fmt::join(importable_architectures(), ", "));
  if (form.of_any_size() && !(o.height && o.width))
    fail_usage(
        "the pictures of {} have any size: --image-height and --image-width say which the network "
        "takes",
        o.dataset);
  pixeldp::ImportOptions all = options;
  all.spec = o.spec;
  all.spec.architecture = o.architecture;
  // These have no other place for noise, whether there is some or not.
  if (o.architecture == "resnet-50" || o.architecture == "inception-v3")
    all.spec.noise_after_layers = 0;
  all.spec.height = o.height.value_or(form.height);
  all.spec.width = o.width.value_or(form.width);
  return {import_model(read_safetensors(o.file), o.file, all), {o.file}};
}

/// A whole network.
Imported import_network(const ImportOptions& o, const pixeldp::ImportOptions& options) {
  if (!o.architecture.empty() || o.spec.depth != 0 || o.spec.widening != 0 || o.spec.slope)
    fail_usage(
        "{}: the file says what network it is: leave out --architecture, --depth, --width "
        "and --slope",
        o.file);
  if (o.spec.standardise)
    fail_usage("{}: --standardise is for the architectures of this program", o.file);
  const OnnxModel file = read_onnx(o.file);
  Model model = import_onnx(file, o.file, options);
  if (o.height.value_or(model.spec.height) != model.spec.height ||
      o.width.value_or(model.spec.width) != model.spec.width)
    fail_usage(
        "{}: the network takes pictures of {}x{} pixels: leave out --image-height and "
        "--image-width",
        o.file, model.spec.width, model.spec.height);
  Imported imported{std::move(model), {o.file}};
  imported.files.insert(imported.files.end(), file.external_files.begin(),
                        file.external_files.end());
  return imported;
}

void run(const ImportOptions& o) {
  const ImageForm form = image_form(o.dataset);
  if (!form.of_any_size() && o.short_side != 0)
    fail_usage("--short-side is for pictures of any size, not for those of {}", o.dataset);
  const std::filesystem::path folder = o.output, path = folder / "model.safetensors";
  if (std::filesystem::exists(path)) {
    fail("{} already holds a model: choose another --output", folder.string());
  }
  const std::string name = o.name.empty() ? std::filesystem::path(o.file).stem().string() : o.name;
  const pixeldp::ImportOptions options{.name = name,
                                       .dataset = o.dataset,
                                       .pixel_shift = o.pixel_shift,
                                       .short_side = o.short_side,
                                       .spec = o.spec,
                                       .noise = o.noise.noise()};
  const bool whole = std::filesystem::path(o.file).extension() == ".onnx";
  auto [model, files] = whole ? import_network(o, options) : import_weights(o, form, options);
  if (!o.autoencoder.empty()) {
    if (options.noise)
      fail_usage("--autoencoder brings the noise that it was trained with: leave out --noise");
    model = behind_autoencoder(read_model_file(o.autoencoder),
                               {o.file, sha256_files(files), std::move(model)});
  }
  const layers::NetworkSpec& spec = model.spec;
  if (o.short_side != 0 && o.short_side < std::max(spec.height, spec.width))
    fail_usage("--short-side {} does not cover {}x{} pixels", o.short_side, spec.width,
               spec.height);
  if (!form.of_any_size()) check_images_fit(model, o.dataset, form);
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail("cannot create the folder {}: {}", folder.string(), error.message());
  save_model(path, model);

  const std::int64_t parameters = model.network.parameter_count();
  if (o.json) {
    const nlohmann::json report = {{"model", path.string()},
                                   {"name", name},
                                   {"architecture", model.spec.architecture},
                                   {"classes", model.spec.classes},
                                   {"parameters", parameters},
                                   {"input_mean", model.spec.input_mean},
                                   {"input_deviation", model.spec.input_deviation},
                                   {"mechanism", pixeldp::name(model.calibration.mechanism)},
                                   {"noise_scale", model.network.noise->scale}};
    fmt::print("{}\n", report.dump());
  } else {
    fmt::print("model             {}\n", path.string());
    fmt::print("architecture      {}, {} parameters, images {}x{}x{} in {} classes\n",
               model.spec.architecture, parameters, model.spec.height, model.spec.width,
               model.spec.channels, model.spec.classes);
    if (o.autoencoder.empty())
      print_pixels(model);
    else
      fmt::print("auto-encoder      that of {}\n", o.autoencoder);
    if (model.calibration.mechanism == Mechanism::none) {
      fmt::print("without noise: 'pixeldp certify {}' measures its accuracy\n", folder.string());
    } else {
      fmt::print("noise             {}\n",
                 o.autoencoder.empty() ? noise_text(model.calibration) : "the auto-encoder's");
      fmt::print("'pixeldp certify {}' certifies it\n", folder.string());
    }
  }
}

}  // namespace

void add_import(CLI::App& program) {
  CLI::App* command = program.add_subcommand(
      "import",
      "Make a run folder of a network that another program trained: of its weights (safetensors), "
      "or whole (ONNX)");
  auto o = std::make_shared<ImportOptions>();
  command->add_option("file", o->file, "FILE.onnx, or weights with PyTorch's names")
      ->required()
      ->type_name("FILE");
  command
      ->add_option("--architecture", o->architecture,
                   fmt::format("Of weights: {}", fmt::join(importable_architectures(), ", ")))
      ->check(CLI::IsMember(importable_architectures()));
  command->add_option("--depth", o->spec.depth, "Layers with weights, of a residual network");
  command->add_option("--width", o->spec.widening, "Factor of the channels, of a wide-resnet");
  command->add_option("--slope", o->spec.slope,
                      "Of the leaky ReLUs of a wide-resnet (default: 0.1)");
  command->add_option("--dataset", o->dataset, "Data set that it was trained on")->required();
  command->add_option("--image-height", o->height, "Of its images (default: the data set's)");
  command->add_option("--image-width", o->width, "Of its images (default: the data set's)");
  command->add_option("--short-side", o->short_side,
                      "Pixels to which the shorter side of pictures of any size is resized, before "
                      "their middle is cut out (default: the larger of height and width)");
  command
      ->add_option("--mean", o->spec.input_mean,
                   "Means of the channels that its images are normalised by, pixels from 0 to 1 "
                   "(default: the file's own, if it holds them)")
      ->delimiter(',');
  command->add_option("--std", o->spec.input_deviation, "Standard deviations for the same; M,M,M")
      ->delimiter(',');
  command->add_flag("--standardise", o->spec.standardise,
                    "Its images are standardised one by one: (x - mean) / max(std, 1 / sqrt(n)), n "
                    "their values");
  command->add_option("--pixel-shift", o->pixel_shift, "Added to pixels before everything else")
      ->capture_default_str();
  o->noise.add_to(*command, "that the weights were trained with");
  command
      ->add_option("--autoencoder", o->autoencoder,
                   "Put the auto-encoder of that run before it, with its noise")
      ->type_name("RUN");
  command->add_option("--name", o->name, "Of the model (default: the file's)");
  command->add_option("--output", o->output, "Run folder to make")->required()->type_name("RUN");
  command->add_flag("--json", o->json, "Print one JSON object on standard output");
  command->callback([o] { run(*o); });
}

}  // namespace pixeldp::cli
