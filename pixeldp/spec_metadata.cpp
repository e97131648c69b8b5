#include "pixeldp/spec_metadata.hpp"

#include <fmt/ranges.h>

#include "layers/networks/autoencoder.hpp"
#include "pixeldp/graph_text.hpp"

namespace pixeldp {
namespace {

using layers::NetworkSpec;

void write_spec(const NetworkSpec& spec, const std::string& prefix, SafetensorsFile& file) {
  const auto add = [&](const std::string& key, std::string text) {
    file.metadata[prefix + key] = std::move(text);
  };
  const auto text = [](bool value) { return value ? "true" : "false"; };
  add("architecture", spec.architecture);
  add("height", std::to_string(spec.height));
  add("width", std::to_string(spec.width));
  add("channels", std::to_string(spec.channels));
  add("classes", std::to_string(spec.classes));
  add("noise_after_layers", std::to_string(spec.noise_after_layers));
  add("noise_before_activation", text(spec.noise_before_activation));
  if (spec.depth != 0) add("depth", std::to_string(spec.depth));
  if (spec.widening != 0) add("widening", std::to_string(spec.widening));
  if (spec.slope) add("slope", fmt::format("{}", *spec.slope));
  if (!spec.input_mean.empty()) {
    add("input_mean", fmt::format("{}", fmt::join(spec.input_mean, ",")));
    add("input_deviation", fmt::format("{}", fmt::join(spec.input_deviation, ",")));
  }
  if (spec.standardise) add("standardise", "image");
  if (spec.output) {
    add("output", std::string(name(spec.output->kind)));
    add("output_low", fmt::format("{}", spec.output->low));
    add("output_high", fmt::format("{}", spec.output->high));
  }
  if (!spec.nodes.empty()) add("graph", graph_text(spec.nodes));
  if (spec.encoder.empty()) return;
  std::string encoder;
  for (const auto& [kernel, filters, stride] : spec.encoder)
    encoder += fmt::format("{}{},{},{}", encoder.empty() ? "" : ",", kernel, filters, stride);
  add("encoder", encoder);
  for (const NetworkSpec& classifier : spec.classifier)
    write_spec(classifier, prefix + std::string(layers::classifier_prefix), file);
}

std::vector<layers::EncoderLayer> read_encoder(const Metadata& metadata, const std::string& key) {
  const std::vector<double> numbers = metadata.numbers(key);
  if (numbers.size() % 3 != 0)
    fail("{}: metadata '{}' is '{}', not kernel, filters and stride of each layer", metadata.what(),
         key, metadata.string(key));
  const auto whole = [&](double number) {
    constexpr double most = 1 << 20;
    if (!(number >= 0 && number <= most && number == static_cast<std::int64_t>(number)))
      fail("{}: metadata '{}' holds {}, not a whole number", metadata.what(), key, number);
    return static_cast<std::int64_t>(number);
  };
  std::vector<layers::EncoderLayer> encoder;
  for (std::size_t i = 0; i < numbers.size(); i += 3)
    encoder.push_back({whole(numbers[i]), whole(numbers[i + 1]), whole(numbers[i + 2])});
  return encoder;
}

NetworkSpec read_spec(const Metadata& metadata, const std::string& prefix) {
  const auto integer = [&](const std::string& key) {
    return metadata.number<std::int64_t>(prefix + key);
  };
  const auto has = [&](const std::string& key) { return metadata.has(prefix + key); };
  NetworkSpec spec{.architecture = metadata.string(prefix + "architecture"),
                   .height = integer("height"),
                   .width = integer("width"),
                   .channels = integer("channels"),
                   .classes = integer("classes"),
                   .noise_after_layers = metadata.number<int>(prefix + "noise_after_layers"),
                   .noise_before_activation = metadata.boolean(prefix + "noise_before_activation"),
                   .rescale_prefix = false,
                   .depth = has("depth") ? integer("depth") : 0,
                   .widening = has("widening") ? integer("widening") : 0,
                   .input_mean = metadata.numbers(prefix + "input_mean"),
                   .input_deviation = metadata.numbers(prefix + "input_deviation"),
                   .standardise = has("standardise"),
                   .encoder = read_encoder(metadata, prefix + "encoder")};
  if (has("slope")) spec.slope = metadata.number<double>(prefix + "slope");
  if (spec.standardise && metadata.string(prefix + "standardise") != "image")
    fail("{}: metadata '{}standardise' is '{}'; this program knows 'image' only", metadata.what(),
         prefix, metadata.string(prefix + "standardise"));
  if (has("output"))
    spec.output =
        kernels::RealOutput{kernels::parse_output_kind(metadata.string(prefix + "output")),
                            metadata.number<double>(prefix + "output_low"),
                            metadata.number<double>(prefix + "output_high")};
  if (has("graph"))
    spec.nodes = parse_graph(metadata.string(prefix + "graph"),
                             fmt::format("{}: metadata '{}graph'", metadata.what(), prefix));
  // One behind a classifier would be refused anyway.
  if (!spec.encoder.empty() && prefix.empty())
    spec.classifier = {read_spec(metadata, std::string(layers::classifier_prefix))};
  return spec;
}

}  // namespace

void write_spec(const NetworkSpec& spec, SafetensorsFile& file) { write_spec(spec, "", file); }

NetworkSpec read_spec(const Metadata& metadata) { return read_spec(metadata, ""); }

}  // namespace pixeldp
