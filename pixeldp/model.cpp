#include "pixeldp/model.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/ranges.h>

#include "engine/error.hpp"
#include "pixeldp/metadata.hpp"
#include "pixeldp/network_sensitivity.hpp"
#include "pixeldp/spec_metadata.hpp"

namespace pixeldp {
namespace {

constexpr const char* format_name = "pixeldp-model-1";

std::string text(double value) { return fmt::format("{}", value); }

}  // namespace

ImageForm image_form(const Model& model) {
  return {.height = model.spec.height,
          .width = model.spec.width,
          .channels = model.spec.channels,
          .classes = static_cast<int>(model.spec.classes),
          .short_side = model.short_side,
          .real_labels = model.spec.output.has_value()};
}

void check_images_fit(const Model& model, std::string_view dataset, const ImageForm& form) {
  const layers::NetworkSpec& spec = model.spec;
  if (form.height != spec.height || form.width != spec.width || form.channels != spec.channels) {
    fail("data set {} has images of {}x{}x{} in {} classes, but model '{}' takes {}x{}x{} in {}",
         dataset, form.height, form.width, form.channels, form.classes, model.name, spec.height,
         spec.width, spec.channels, spec.classes);
  }
  if (form.real_labels != spec.output.has_value())
    fail("data set {} has {} for labels, but model '{}' is a network for {}", dataset,
         form.real_labels ? "real numbers" : "classes", model.name,
         spec.output ? "regression" : "classification");
  if (form.classes != spec.classes) {
    fail(
        "data set {} has {} classes, but the weights of model '{}' have {}: name the data set that "
        "they were trained on",
        dataset, form.classes, model.name, spec.classes);
  }
}

void check_images_fit(const Model& model, const Dataset& dataset) {
  check_images_fit(model, dataset.name,
                   {.height = dataset.height,
                    .width = dataset.width,
                    .channels = dataset.channels,
                    .classes = dataset.classes,
                    .real_labels = dataset.real_labels()});
  if (model.class_names.empty()) return;
  for (std::size_t label = 0; label < dataset.class_names.size(); ++label)
    if (dataset.class_names[label] != model.class_names[label])
      fail(
          "label {} of data set {} is '{}', but that of model '{}' is '{}': name a folder with the "
          "classes that it was trained on",
          label, dataset.name, dataset.class_names[label], model.name, model.class_names[label]);
}

void refuse_regression(const Model& model, std::string_view what) {
  if (model.spec.output)
    fail_usage(
        "model '{}' is a network for regression, and {} are for classifiers: certify, recertify, "
        "attack, predict, verify, merge and report take both",
        model.name, what);
}

void apply_calibration(const Calibration& calibration, layers::Network& network) {
  network.noise->distribution = distribution_of(calibration.mechanism);
  network.noise->scale = calibration.mechanism == Mechanism::none ? 0.0 : calibration.noise_scale;
}

SafetensorsFile model_to_safetensors(const Model& model) {
  SafetensorsFile file;
  for (const layers::NamedTensor* tensor : model.network.saved_tensors())
    file.tensors[tensor->name] = SafeTensor::from_floats(tensor->shape, tensor->value.values());
  const Calibration& c = model.calibration;
  file.metadata = {{"format", format_name},
                   {"name", model.name},
                   {"dataset", model.dataset},
                   {"pixel_shift", text(model.pixel_shift)},
                   {"mechanism", std::string(name(c.mechanism))}};
  write_spec(model.spec, file);
  if (!model.classifier_sha256.empty())
    file.metadata["classifier_sha256"] = model.classifier_sha256;
  if (model.short_side != 0) file.metadata["short_side"] = std::to_string(model.short_side);
  if (!model.class_names.empty())
    file.metadata["class_names"] = fmt::format("{}", fmt::join(model.class_names, "\n"));
  if (c.mechanism != Mechanism::none) {
    file.metadata.insert({{"attack_norm", std::string(name(c.attack_norm))},
                          {"noise_scale", text(c.noise_scale)},
                          {"sensitivity", text(c.sensitivity)},
                          {"sensitivity_form", std::string(name(model.form))}});
    if (c.construction) {
      file.metadata.insert({{"construction_bound", text(c.construction->bound)},
                            {"epsilon", text(c.construction->epsilon)},
                            {"delta", text(c.construction->delta)}});
    }
  }
  if (model.quantisation) {
    std::string scales;
    for (const auto& [layer, scale] : model.quantisation->scales)
      scales += fmt::format("{}{}={}", scales.empty() ? "" : ",", layer, scale);
    file.metadata.insert({{"quantisation_scales", scales},
                          {"quantisation_images", std::to_string(model.quantisation->images)},
                          {"quantisation_seed", std::to_string(model.quantisation->seed)}});
  }
  return file;
}

void save_model(const std::filesystem::path& path, const Model& model) {
  write_safetensors(path, model_to_safetensors(model));
}

namespace {

void load_tensor(const SafetensorsFile& file, const std::string& what,
                 const std::string& architecture, layers::NamedTensor& tensor) {
  const auto found = file.tensors.find(tensor.name);
  if (found == file.tensors.end())
    fail("{}: tensor '{}' ({}) of architecture {} is missing: its kind or depth is another", what,
         tensor.name, fmt::join(tensor.shape, "x"), architecture);
  if (found->second.shape != tensor.shape) {
    fail("{}: tensor '{}' is {}, but architecture {} has {}: its kind or width is another", what,
         tensor.name, fmt::join(found->second.shape, "x"), architecture,
         fmt::join(tensor.shape, "x"));
  }
  const std::vector<float> values = found->second.to_floats();
  for (const float value : values) {
    if (!std::isfinite(value))
      fail("{}: tensor '{}' holds a value that is not finite", what, tensor.name);
  }
  std::copy(values.begin(), values.end(), tensor.value.data());
}

}  // namespace

void load_parameters(const SafetensorsFile& file, const std::string& what,
                     layers::Network& network) {
  for (layers::Parameter* parameter : network.parameters())
    load_tensor(file, what, network.architecture, *parameter);
  for (layers::LayerBuffer* buffer : network.buffers()) {
    if (!buffer->saved) continue;
    load_tensor(file, what, network.architecture, *buffer);
    const auto values = std::as_const(buffer->value).values();
    if (buffer->not_negative &&
        std::any_of(values.begin(), values.end(), [](float v) { return v < 0; }))
      fail("{}: tensor '{}' holds a negative value", what, buffer->name);
  }
}

void check_no_other_tensors(const SafetensorsFile& file, const std::string& what,
                            const layers::Network& network) {
  std::set<std::string_view> known;
  for (const layers::NamedTensor* tensor : network.saved_tensors()) known.insert(tensor->name);
  for (const auto& [name, tensor] : file.tensors) {
    if (!known.contains(name))
      fail(
          "{}: architecture {} as it is described has no tensor '{}': its kind or depth is another",
          what, network.architecture, name);
  }
}

bool is_model(const SafetensorsFile& file) {
  const auto format = file.metadata.find("format");
  return format != file.metadata.end() && format->second.starts_with("pixeldp-model-");
}

Model load_model(const std::filesystem::path& path, Scales scales) {
  if (!std::filesystem::exists(path)) {
    fail(
        "{}: no model there; a finished 'pixeldp train' writes it, and an unfinished one is "
        "continued by --resume",
        path.string());
  }
  const SafetensorsFile file = read_safetensors(path);
  const Metadata metadata(file, path.string());
  if (metadata.string("format") != format_name) {
    fail("{}: metadata 'format' is '{}'; this program reads '{}'", path.string(),
         metadata.string("format"), format_name);
  }
  Model model;
  model.name = metadata.string("name");
  model.dataset = metadata.string("dataset");
  model.pixel_shift = metadata.number<double>("pixel_shift");
  if (!(std::abs(model.pixel_shift) <= 1.0))
    fail("{}: metadata 'pixel_shift' is {}, not from -1 to 1", path.string(), model.pixel_shift);
  model.spec = read_spec(metadata);
  if (metadata.has("classifier_sha256"))
    model.classifier_sha256 = metadata.string("classifier_sha256");
  if (metadata.has("short_side")) model.short_side = metadata.number<std::int64_t>("short_side");
  model.class_names = metadata.parts("class_names", '\n');
  if (!model.class_names.empty() && std::ssize(model.class_names) != model.spec.classes)
    fail("{}: metadata 'class_names' has {} names for {} classes", path.string(),
         model.class_names.size(), model.spec.classes);
  Calibration& c = model.calibration;
  c.mechanism = parse_mechanism(metadata.string("mechanism"));
  if (c.mechanism != Mechanism::none) {
    c.attack_norm = parse_attack_norm(metadata.string("attack_norm"));
    if (metadata.has("construction_bound") || metadata.has("epsilon") || metadata.has("delta")) {
      c.construction = {.bound = metadata.number<double>("construction_bound"),
                        .epsilon = metadata.number<double>("epsilon"),
                        .delta = metadata.number<double>("delta")};
    }
    // The kernel adds noise of a float's scale, so that is the scale that a certificate may speak
    // of.
    c.noise_scale = metadata.number<float>("noise_scale");
    if (metadata.has("sensitivity")) {
      c.sensitivity = metadata.number<double>("sensitivity");
      model.form = parse_sensitivity_form(metadata.string("sensitivity_form"));
    }
  }
  if (metadata.has("quantisation_scales")) {
    try {
      for (const char* key : {"quantisation_images", "quantisation_seed"})
        if (!metadata.has(key))
          fail("{}: metadata '{}' is missing: 'pixeldp quantise RUN' makes the scales anew",
               path.string(), key);
      model.quantisation =
          Quantisation{.scales = metadata.scales("quantisation_scales"),
                       .images = metadata.number<std::int64_t>("quantisation_images"),
                       .seed = metadata.number<std::uint64_t>("quantisation_seed")};
    } catch (const Error&) {
      if (scales == Scales::read) throw;
    }
  }
  model.network = layers::make_network(model.spec, 0);
  load_parameters(file, path.string(), model.network);
  check_no_other_tensors(file, path.string(), model.network);
  apply_calibration(c, model.network);
  return model;
}

namespace {

/// What the measured sensitivity is a property of, for messages.
std::string subject_before_noise(const layers::Network& network) {
  std::vector<std::string> names;
  for (const layers::Graph::Node& node : network.prefix())
    for (const layers::Parameter* parameter : node.layer->parameters())
      names.push_back(parameter->name);
  if (names.empty()) return "what stands before its noise has";
  return fmt::format("its {} before the noise, {}, {}", names.size() == 1 ? "tensor" : "tensors",
                     fmt::join(names, ", "), names.size() == 1 ? "has" : "have");
}

}  // namespace

Calibration check_certifiable(const Model& model) {
  Calibration c = model.calibration;
  if (c.mechanism == Mechanism::none) {
    fail(
        "model '{}' has no noise, so nothing can be certified: train it with a noise mechanism, or "
        "give it noise with --noise and --sigma",
        model.name);
  }
  if (c.sensitivity == 0.0) {
    fail(
        "model '{}' records no sensitivity, so nothing can be certified: train it with 'pixeldp "
        "train', which "
        "measures and records it",
        model.name);
  }
  c.check();
  const double measured =
      network_sensitivity(model.network, c.attack_norm, c.mechanism, model.form);
  if (c.sensitivity < measured && !same_but_for_rounding(c.sensitivity, measured)) {
    fail(
        "model '{}' records a sensitivity of {}, but {} {}: the file was changed after it was "
        "measured; train or save the model anew",
        model.name, c.sensitivity, subject_before_noise(model.network), measured);
  }
  c.sensitivity = std::max(c.sensitivity, measured);
  return c;
}

}  // namespace pixeldp
