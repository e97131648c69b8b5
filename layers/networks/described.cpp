#include "layers/networks/described.hpp"

#include <set>

#include "engine/error.hpp"
#include "layers/add.hpp"
#include "layers/global_pool.hpp"
#include "layers/networks/network_builder.hpp"

namespace pixeldp::layers {
namespace {

/// Appends the leaf that a node describes.
struct Appender {
  NetworkBuilder& net;
  const NodeSpec& node;
  std::vector<Value> x;

  template <class L, class... Arguments>
  Value append(const Arguments&... arguments) const {
    return net.append<L>(x, node.name, arguments...);
  }

  Value operator()(const kernels::GroupedConv2dShape& o) const { return append<Convolution>(o); }
  Value operator()(const Affine::Options& o) const { return append<Affine>(o); }
  Value operator()(const DenseNode& o) const {
    if (x.size() != 1) fail("layer {} reads 1 value, not {}", node.name, x.size());
    return net.blank_dense(node.name, x[0], o.out, o.activation);
  }
  Value operator()(const AddNode& o) const { return append<Add>(o.activation); }
  Value operator()(const MultiplyNode&) const { return append<Multiply>(); }
  Value operator()(const kernels::WindowPoolShape& o) const { return append<WindowPool>(o); }
  Value operator()(const GlobalPoolNode&) const { return append<GlobalAveragePool>(); }
  Value operator()(const kernels::PointwiseFunction& o) const { return append<Pointwise>(o); }
  Value operator()(const ConcatenateNode&) const { return append<Concatenate>(std::ssize(x)); }
  Value operator()(const Select::Options& o) const { return append<Select>(o); }
  Value operator()(const SoftmaxNode& o) const { return append<Softmax>(o.values); }
  Value operator()(const kernels::LocalResponseParams& o) const { return append<LocalResponse>(o); }
};

}  // namespace

void check_described(const NetworkSpec& spec) {
  if (spec.noise_after_layers != 0)
    fail_usage(
        "a network that another program described takes its noise in the image, not after "
        "{} layers",
        spec.noise_after_layers);
  if (spec.depth != 0 || spec.widening != 0 || spec.slope)
    fail_usage("a network that another program described has no depth, width or slope of its own");
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < spec.nodes.size(); ++i) {
    const NodeSpec& node = spec.nodes[i];
    if (node.name.empty() || !names.insert(node.name).second)
      fail("layer {} of the network has the name '{}', which another one has, or nobody", i + 1,
           node.name);
    if (node.inputs.empty()) fail("layer {} reads nothing", node.name);
    for (const Value value : node.inputs)
      if (value < 0 || std::cmp_greater(value, i))
        fail("layer {} reads value {}, which is not there yet", node.name, value);
    const auto* dense = std::get_if<DenseNode>(&node.leaf);
    constexpr std::int64_t most_outputs = 1 << 20;
    if (dense && (dense->out < 1 || dense->out > most_outputs))
      fail("layer {} cannot have {} outputs", node.name, dense->out);
  }
  const auto* head = spec.nodes.empty() ? nullptr : std::get_if<DenseNode>(&spec.nodes.back().leaf);
  if (!head || head->out != spec.classes)
    fail("the network does not end in a dense layer to {} classes", spec.classes);
}

void build_described(NetworkBuilder& net, const NetworkSpec& spec) {
  std::vector<Value> values = {net.start()};
  for (const NodeSpec& node : spec.nodes) {
    std::vector<Value> x;
    for (const Value value : node.inputs) x.push_back(values[static_cast<std::size_t>(value)]);
    values.push_back(std::visit(Appender{net, node, std::move(x)}, node.leaf));
  }
}

}  // namespace pixeldp::layers
