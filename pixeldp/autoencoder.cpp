#include "pixeldp/autoencoder.hpp"

#include <algorithm>
#include <map>

#include <fmt/ranges.h>

#include "engine/error.hpp"
#include "layers/networks/autoencoder.hpp"

namespace pixeldp {
namespace {

using layers::autoencoder_prefix, layers::classifier_prefix;

/// Copies what `from` has behind one prefix to what `to` has behind another: all of that.
bool put(const ModelFile& from, std::string_view from_prefix, layers::Network& to,
         std::string_view to_prefix) {
  std::map<std::string, const layers::NamedTensor*> there;
  for (const layers::NamedTensor* tensor : from.model.network.saved_tensors())
    there[tensor->name] = tensor;
  bool same = true;
  const auto copy = [&](layers::NamedTensor& tensor) {
    if (!tensor.name.starts_with(to_prefix)) return;
    const std::string name = std::string(from_prefix) + tensor.name.substr(to_prefix.size());
    const auto found = there.find(name);
    if (found == there.end() || found->second->shape != tensor.shape)
      fail("{}: tensor '{}' of {} is missing or has another shape", from.path.string(), name,
           fmt::join(tensor.shape, "x"));
    const auto values = found->second->value.values();
    same = same && std::ranges::equal(std::as_const(tensor.value).values(), values);
    std::ranges::copy(values, tensor.value.data());
  };
  for (layers::Parameter* parameter : to.parameters()) copy(*parameter);
  for (layers::LayerBuffer* buffer : to.buffers())
    if (buffer->saved) copy(*buffer);
  return same;
}

}  // namespace

ModelFile read_model_file(const std::filesystem::path& run_or_file) {
  std::filesystem::path path = run_or_file;
  if (std::filesystem::is_directory(path)) path /= "model.safetensors";
  Model model = load_model(path);
  return {.path = path, .sha256 = sha256_file(path), .model = std::move(model)};
}

layers::NetworkSpec classifier_spec(const ModelFile& classifier) {
  const Model& model = classifier.model;
  if (!model.spec.classifier.empty())
    fail_usage("{}: this model has an auto-encoder already: name the classifier behind it",
               classifier.path.string());
  refuse_regression(model, "auto-encoders");
  if (model.calibration.mechanism != Mechanism::none)
    fail_usage(
        "{}: this model has noise of its own ({}), and an auto-encoder brings its own: take one "
        "that was trained or imported without noise",
        classifier.path.string(), name(model.calibration.mechanism));
  layers::NetworkSpec spec = model.spec;
  if (model.pixel_shift == 0.0 || spec.standardise) return spec;
  if (!spec.normalises()) {
    spec.input_mean.assign(static_cast<std::size_t>(spec.channels), 0.0);
    spec.input_deviation.assign(static_cast<std::size_t>(spec.channels), 1.0);
  }
  for (double& mean : spec.input_mean) mean -= model.pixel_shift;
  return spec;
}

bool put_classifier(const ModelFile& classifier, layers::Network& network) {
  return put(classifier, "", network, classifier_prefix);
}

bool put_autoencoder(const ModelFile& other, layers::Network& network) {
  if (other.model.spec.encoder.empty())
    fail_usage("{}: this model has no auto-encoder", other.path.string());
  return put(other, autoencoder_prefix, network, autoencoder_prefix);
}

Model behind_autoencoder(const ModelFile& autoencoder, const ModelFile& classifier) {
  const Model &before = autoencoder.model, &behind = classifier.model;
  if (before.spec.encoder.empty())
    fail_usage("{}: this model has no auto-encoder", autoencoder.path.string());
  layers::NetworkSpec spec = before.spec;
  spec.classifier = {classifier_spec(classifier)};
  spec.classes = behind.spec.classes;
  Model model{.name = behind.name,
              .dataset = behind.dataset,
              .pixel_shift = before.pixel_shift,
              .short_side = behind.short_side,
              .class_names = behind.class_names,
              .spec = spec,
              .network = layers::make_network(spec, 0),
              .calibration = before.calibration,
              .form = before.form};
  put_autoencoder(autoencoder, model.network);
  put_classifier(classifier, model.network);
  model.classifier_sha256 = classifier.sha256;
  apply_calibration(model.calibration, model.network);
  return model;
}

}  // namespace pixeldp
