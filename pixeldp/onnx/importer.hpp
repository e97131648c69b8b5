#pragma once

#include <string>

#include "engine/io/onnx.hpp"
#include "pixeldp/onnx/draft.hpp"

namespace pixeldp::onnx {

/// A network of the architecture "graph" as it was read from an ONNX file.
struct ImportedGraph {
  std::int64_t height = 0, width = 0, channels = 0;  ///< of a picture
  Draft::Result network;
};

/// Opsets from the first to the second are read. After 21 the operators that are read only take
/// more types.
inline constexpr std::int64_t oldest_opset = 7, newest_opset = 28;

/// The graph as nodes of ours, with a batch of one picture: what is calculated of constants and
/// shapes alone is calculated here, what only moves elements becomes part of what reads them,
/// normalisations, biases and factors become affine, and a softmax at the end is left out. Throws
/// an Error that names the file (`what`), the node and its operator for whatever is not read.
ImportedGraph import_graph(const OnnxModel& model, const std::string& what);

}  // namespace pixeldp::onnx
