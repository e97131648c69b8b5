#include "layers/graph.hpp"

#include "engine/error.hpp"

namespace pixeldp::layers {

Value Graph::add(std::unique_ptr<Layer> layer, std::vector<Value> inputs) {
  if (inputs.size() != layer->operands())
    fail("layer {} reads {} values, not {}", layer->name(), layer->operands(), inputs.size());
  for (const Value value : inputs) {
    if (value < 0 || value > result())
      fail("layer {} reads value {}, which is not there yet", layer->name(), value);
  }
  nodes_.push_back({std::move(layer), std::move(inputs)});
  try {
    shapes_.push_back(nodes_.back().layer->output_shape(input_shapes(nodes_.size() - 1)));
  } catch (...) {
    nodes_.pop_back();
    throw;
  }
  return result();
}

std::vector<Shape> Graph::input_shapes(std::size_t i) const {
  std::vector<Shape> shapes;
  for (const Value value : nodes_[i].inputs) shapes.push_back(shape(value));
  return shapes;
}

}  // namespace pixeldp::layers
