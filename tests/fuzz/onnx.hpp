#pragma once

#include "pixeldp/onnx/importer.hpp"
#include "tests/fuzz/accept.hpp"

namespace pixeldp::fuzz {

inline void onnx(ByteView input) {
  const OnnxModel model = parse_onnx(input, "input");
  for (const OnnxTensor& tensor : model.initializers) {
    const std::size_t values = std::visit([](const auto& of) { return of.size(); }, tensor.values);
    accept([&] {
      require(tensor.external ||
              static_cast<std::size_t>(pixeldp::onnx::count(tensor.dims)) == values);
    });
  }
  const pixeldp::onnx::Draft::Result network = pixeldp::onnx::import_graph(model, "input").network;
  require(!network.nodes.empty() && network.classes > 1);
  for (std::size_t i = 0; i < network.nodes.size(); ++i)
    for (const layers::Value value : network.nodes[i].inputs)
      require(value >= 0 && static_cast<std::size_t>(value) <= i);
}

}  // namespace pixeldp::fuzz
