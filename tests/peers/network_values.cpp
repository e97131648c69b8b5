// What a network makes of pictures, for scripts that compare it with what others make of them:
//
//   network_values MODEL PICTURES VALUES [NAME...]
//
// MODEL is FILE.onnx, or ARCHITECTURE:SIDE:FILE.safetensors for weights with PyTorch's names.
// PICTURES holds pictures [H, W, C] of floats, one after the other, as the network takes them.
// VALUES receives, as floats, for each NAME what the layer of that name makes of all of them, in
// training's form (batch normalisations by themselves), and the scores as certification calculates
// them. Standard output is one JSON object that says which these are. Exit status 1: refused, by
// the message on standard error.
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "engine/error.hpp"
#include "engine/io/file.hpp"
#include "engine/io/safetensors.hpp"
#include "pixeldp/import_model.hpp"
#include "pixeldp/import_onnx.hpp"
#include "tests/plan_scores.hpp"

namespace pixeldp::tests {
namespace {

using nlohmann::json;

Model read_network(const std::string& what) {
  ImportOptions options{.name = "foreign", .dataset = "image-folder", .spec = {}};
  if (what.ends_with(".onnx")) return import_onnx(read_onnx(what), what, options);
  const auto first = what.find(':'), second = what.find(':', first + 1);
  if (second == std::string::npos)
    fail_usage("{}: neither FILE.onnx nor ARCHITECTURE:SIDE:FILE.safetensors", what);
  options.spec.architecture = what.substr(0, first);
  options.spec.height = options.spec.width = std::stol(what.substr(first + 1, second - first - 1));
  options.spec.noise_after_layers = 0;
  const std::string file = what.substr(second + 1);
  return import_model(read_safetensors(file), file, options);
}

Tensor read_pictures(const std::string& path, const Shape& one) {
  const Bytes bytes = read_file(path);
  const auto size = static_cast<std::size_t>(one.row_size()) * sizeof(float);
  if (bytes.empty() || bytes.size() % size != 0)
    fail("{}: {} bytes are no pictures of {} bytes each", path, bytes.size(), size);
  Tensor pictures(one.with_rows(static_cast<std::int64_t>(bytes.size() / size)));
  std::memcpy(pictures.data(), bytes.data(), bytes.size());
  return pictures;
}

/// Of every node.
std::vector<Tensor> node_values(layers::Network& network, const Tensor& pictures) {
  const auto nodes = network.graph.nodes();
  const Stream stream;
  std::vector<kernels::NoiseRow> rows;
  for (std::int64_t i = 0; i < pictures.rows(); ++i)
    rows.push_back({.source = i, .image = 0, .draw = 0});
  const layers::Pass pass{
      .stream = stream, .mode = layers::Mode::inference, .draws = {.rows = rows}};
  std::vector<Tensor> made(nodes.size());
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    std::vector<const Tensor*> inputs;
    for (const layers::Value value : nodes[i].inputs)
      inputs.push_back(value == 0 ? &pictures : &made[static_cast<std::size_t>(value - 1)]);
    layers::Saved saved;
    network.graph.layer(i).forward(pass, inputs, made[i], saved);
  }
  return made;
}

/// The values that are asked for, and those that they are.
class Values {
 public:
  void put(const std::string& name, const Shape& shape, std::span<const float> values) {
    about.push_back({{"name", name}, {"shape", std::vector(shape.begin(), shape.end())}});
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(values.data());
    contents.insert(contents.end(), bytes, bytes + values.size_bytes());
  }

  json about = json::array();
  Bytes contents;
};

void run(const std::vector<std::string>& arguments) {
  if (arguments.size() < 3) fail_usage("network_values MODEL PICTURES VALUES [NAME...]");
  Model model = read_network(arguments[0]);
  layers::Network& network = model.network;
  const Tensor pictures = read_pictures(arguments[1], network.input());
  Values values;
  if (arguments.size() > 3) {
    const std::vector<Tensor> made = node_values(network, pictures);
    for (auto name = arguments.begin() + 3; name != arguments.end(); ++name) {
      std::size_t i = 0;
      while (i < made.size() && network.graph.layer(i).name() != *name) ++i;
      if (i == made.size()) fail("{}: there is no layer '{}'", arguments[0], *name);
      values.put(*name, made[i].shape(), made[i].values());
    }
  }
  const PlanScores scorer(network);
  std::vector<float> scores;
  const auto size = static_cast<std::size_t>(network.input().row_size());
  for (std::int64_t i = 0; i < pictures.rows(); ++i)
    for (const double score : scorer({pictures.row(i), size}))
      scores.push_back(static_cast<float>(score));
  values.put("scores", {pictures.rows(), network.classes()}, scores);
  write_file_atomically(arguments[2], values.contents);
  const json about = {{"height", model.spec.height},
                      {"width", model.spec.width},
                      {"channels", model.spec.channels},
                      {"classes", network.classes()},
                      {"parameters", network.parameter_count()},
                      {"values", values.about}};
  fmt::print("{}\n", about.dump());
}

}  // namespace
}  // namespace pixeldp::tests

int main(int argc, char** argv) {
  try {
    pixeldp::tests::run({argv + 1, argv + argc});
    return 0;
  } catch (const pixeldp::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
