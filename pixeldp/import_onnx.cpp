#include "pixeldp/import_onnx.hpp"

#include "pixeldp/onnx/importer.hpp"

namespace pixeldp {

Model import_onnx(const OnnxModel& file, const std::string& what, const ImportOptions& options) {
  onnx::ImportedGraph graph = onnx::import_graph(file, what);
  check_normalisation(what, {"--mean", options.spec.input_mean},
                      {"--std", options.spec.input_deviation}, options.pixel_shift);
  Model model{.name = options.name,
              .dataset = options.dataset,
              .pixel_shift = options.pixel_shift,
              .short_side = options.short_side,
              .spec = {.architecture = "graph",
                       .height = graph.height,
                       .width = graph.width,
                       .channels = graph.channels,
                       .classes = graph.network.classes,
                       .noise_after_layers = 0,
                       .input_mean = options.spec.input_mean,
                       .input_deviation = options.spec.input_deviation,
                       .nodes = std::move(graph.network.nodes)},
              .network = {},
              .calibration = {},
              .form = SensitivityForm::tight};
  if (options.noise) model.calibration = input_noise_calibration(*options.noise, model.spec);
  model.network = layers::make_network(model.spec, 0);
  const SafetensorsFile weights{.tensors = std::move(graph.network.tensors), .metadata = {}};
  load_parameters(weights, what, model.network);
  check_no_other_tensors(weights, what, model.network);
  apply_calibration(model.calibration, model.network);
  return model;
}

}  // namespace pixeldp
