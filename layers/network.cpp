#include "layers/network.hpp"

#include <algorithm>

namespace pixeldp::layers {
namespace {

template <class T, class Of>
std::vector<T*> all_of(auto& graph, Of of) {
  std::vector<T*> all;
  for (std::size_t i = 0; i < graph.nodes().size(); ++i)
    for (T* tensor : of(graph.layer(i))) all.push_back(tensor);
  return all;
}

}  // namespace

std::size_t Network::prefix_size() const {
  const auto nodes = graph.nodes();
  const auto at = std::ranges::find_if(
      nodes, [&](const Graph::Node& node) { return node.layer.get() == noise; });
  return static_cast<std::size_t>(at - nodes.begin());
}

Shape Network::noise_shape(std::int64_t rows) const {
  return graph.shape(graph.nodes()[prefix_size()].inputs[0]).with_rows(rows);
}

std::vector<Parameter*> Network::parameters() {
  return all_of<Parameter>(graph, [](Layer& layer) { return layer.parameters(); });
}

std::vector<const Parameter*> Network::parameters() const {
  return all_of<const Parameter>(graph, [](const Layer& layer) { return layer.parameters(); });
}

std::vector<LayerBuffer*> Network::buffers() {
  return all_of<LayerBuffer>(graph, [](Layer& layer) { return layer.buffers(); });
}

std::vector<const LayerBuffer*> Network::buffers() const {
  return all_of<const LayerBuffer>(graph, [](const Layer& layer) { return layer.buffers(); });
}

std::vector<const NamedTensor*> Network::saved_tensors() const {
  std::vector<const NamedTensor*> all;
  for (const Parameter* parameter : parameters()) all.push_back(parameter);
  for (const LayerBuffer* buffer : buffers())
    if (buffer->saved) all.push_back(buffer);
  return all;
}

void Network::move_to(const Stream& stream, Device device) {
  for (Parameter* parameter : parameters()) parameter->value = parameter->value.to(stream, device);
  for (LayerBuffer* buffer : buffers()) buffer->value = buffer->value.to(stream, device);
}

std::int64_t Network::parameter_count() const {
  std::int64_t count = 0;
  for (const Parameter* parameter : parameters()) count += parameter->value.size();
  return count;
}

kernels::NetworkPlan lower(const Stream& stream, const Network& network) {
  const Graph& graph = network.graph;
  kernels::InferencePlan plan(network.input().row_size());
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    const Graph::Node& node = graph.nodes()[i];
    kernels::InferenceStep step = node.layer->lower(stream, graph.input_shapes(i));
    step.inputs = node.inputs;
    plan.add(std::move(step));
  }
  return kernels::divide(kernels::fold(std::move(plan)));
}

}  // namespace pixeldp::layers
