#pragma once

#include <experimental/propagate_const>
#include <span>
#include <string>
#include <vector>

#include "layers/dense.hpp"
#include "layers/graph.hpp"
#include "layers/noise.hpp"

namespace pixeldp::layers {

/// A PixelDP classifier in the order the data travels:
///   image -> prefix (once per image) -> noise (once per draw) -> body -> head -> logits.
/// A network without noise is the same with a noise layer that adds nothing.
struct Network {
  std::string architecture;  ///< the name under which the network was built
  Graph graph;
  /// The node of the graph that is the noise, and its last one.
  std::experimental::propagate_const<Noise*> noise = nullptr;
  std::experimental::propagate_const<Dense*> head = nullptr;
  /// The value that is an auto-encoder's image; 0: there is none.
  Value reconstruction = 0;

  const Shape& input() const { return graph.shape(0); }  ///< of one image
  int classes() const { return static_cast<int>(head->options().out); }
  /// How many nodes lie before the noise.
  std::size_t prefix_size() const;
  std::span<const Graph::Node> prefix() const { return graph.nodes().first(prefix_size()); }
  /// Shape of `rows` rows between prefix and noise.
  Shape noise_shape(std::int64_t rows) const;
  /// Every parameter, in the order of the nodes.
  std::vector<Parameter*> parameters();
  std::vector<const Parameter*> parameters() const;
  /// Every buffer, likewise.
  std::vector<LayerBuffer*> buffers();
  std::vector<const LayerBuffer*> buffers() const;
  /// What a model file holds: all parameters, and the buffers that are saved.
  std::vector<const NamedTensor*> saved_tensors() const;
  std::int64_t parameter_count() const;
  /// Moves parameters and buffers to the memory of `device`, which is the stream's or the
  /// processor.
  void move_to(const Stream& stream, Device device);
};

/// The network as certification knows it, with parameters and buffers as they are now; they lie in
/// host memory or on the stream's device. Throws an Error where divide() does.
kernels::NetworkPlan lower(const Stream& stream, const Network& network);

}  // namespace pixeldp::layers
