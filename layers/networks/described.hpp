#pragma once

#include <string>
#include <variant>
#include <vector>

#include "layers/affine.hpp"
#include "layers/convolution.hpp"
#include "layers/graph.hpp"
#include "layers/row_layers.hpp"

namespace pixeldp::layers {

struct NetworkSpec;
class NetworkBuilder;

// Leaves that have no options of their own, or not those of a description.

struct DenseNode {
  std::int64_t out = 1;
  kernels::Activation activation = {};
  bool operator==(const DenseNode&) const = default;
};
struct AddNode {
  kernels::Activation activation = {};
  bool operator==(const AddNode&) const = default;
};
struct MultiplyNode {
  bool operator==(const MultiplyNode&) const = default;
};
struct GlobalPoolNode {
  bool operator==(const GlobalPoolNode&) const = default;
};
struct ConcatenateNode {
  bool operator==(const ConcatenateNode&) const = default;
};
struct SoftmaxNode {
  std::int64_t values = 1;
  bool operator==(const SoftmaxNode&) const = default;
};

/// A node of a network that is described node by node, as those are that other programs made.
struct NodeSpec {
  using Leaf =
      std::variant<kernels::GroupedConv2dShape, Affine::Options, DenseNode, AddNode, MultiplyNode,
                   kernels::WindowPoolShape, GlobalPoolNode, kernels::PointwiseFunction,
                   ConcatenateNode, Select::Options, SoftmaxNode, kernels::LocalResponseParams>;

  std::string name = {};           ///< of the layer; no two have the same
  std::vector<Value> inputs = {};  ///< 0: the image, i + 1: what node i makes
  Leaf leaf = {};

  bool operator==(const NodeSpec&) const = default;
};

/// The architecture "graph": the nodes of spec.nodes, in their order, behind noise and
/// normalisation of the image. The last one is dense. Weights are those of blank layers.
void build_described(NetworkBuilder& net, const NetworkSpec& spec);
/// Throws a usage error where there is no such network.
void check_described(const NetworkSpec& spec);

}  // namespace pixeldp::layers
