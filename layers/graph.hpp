#pragma once

#include <experimental/propagate_const>
#include <memory>
#include <span>
#include <vector>

#include "layers/layer.hpp"

namespace pixeldp::layers {

/// A value of a graph: 0 is the image, value i + 1 what node i makes of values before it.
using Value = int;

/// A network as nodes on values, in an order in which they can be evaluated. Networks and blocks
/// are functions that append nodes.
class Graph {
 public:
  struct Node {
    std::experimental::propagate_const<std::unique_ptr<Layer>> layer;
    std::vector<Value> inputs;
  };

  Graph() = default;
  /// For images of this shape, whose outermost extent is 1.
  explicit Graph(const Shape& image) : shapes_{image} {}

  /// Appends a node and returns its value. Throws an Error where the layer cannot take these.
  Value add(std::unique_ptr<Layer> layer, std::vector<Value> inputs);

  std::span<const Node> nodes() const { return nodes_; }
  Layer& layer(std::size_t i) { return *nodes_.at(i).layer; }
  const Layer& layer(std::size_t i) const { return *nodes_.at(i).layer; }
  /// Shape of a row of a value.
  const Shape& shape(Value value) const { return shapes_.at(static_cast<std::size_t>(value)); }
  /// Shapes of what node i reads.
  std::vector<Shape> input_shapes(std::size_t i) const;
  /// The value of the last node.
  Value result() const { return static_cast<Value>(nodes_.size()); }

 private:
  std::vector<Node> nodes_;
  std::vector<Shape> shapes_;  // of each value
};

}  // namespace pixeldp::layers
