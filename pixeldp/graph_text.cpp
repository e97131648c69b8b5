#include "pixeldp/graph_text.hpp"

#include <cmath>
#include <limits>

#include <nlohmann/json.hpp>

#include "engine/error.hpp"

namespace pixeldp {
namespace {

using nlohmann::json;
using Leaf = layers::NodeSpec::Leaf;
using kernels::PointwiseFunction, kernels::WindowPoolShape;

constexpr std::pair<WindowPoolShape::Kind, const char*> pool_kinds[] = {
    {WindowPoolShape::Kind::max, "max"}, {WindowPoolShape::Kind::average, "average"}};
constexpr std::pair<PointwiseFunction::Kind, const char*> function_kinds[] = {
    {PointwiseFunction::Kind::clamp, "clamp"},
    {PointwiseFunction::Kind::sigmoid, "sigmoid"},
    {PointwiseFunction::Kind::tanh, "tanh"},
    {PointwiseFunction::Kind::elu, "elu"},
    {PointwiseFunction::Kind::hard_sigmoid, "hard_sigmoid"},
    {PointwiseFunction::Kind::hard_swish, "hard_swish"}};

/// Floats that JSON has no numbers for are texts.
json from_float(float value) {
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

/// Puts the options of leaves under their names.
struct Writer {
  json& to;

  void operator()(const char* name, std::int64_t& value) { to[name] = value; }
  void operator()(const char* name, bool& value) { to[name] = value; }
  void operator()(const char* name, float& value) { to[name] = from_float(value); }
  void operator()(const char* name, std::vector<std::int64_t>& values) { to[name] = values; }
  template <class Kind, std::size_t count>
  void operator()(const char* name, Kind& kind,
                  const std::pair<Kind, const char*> (&kinds)[count]) {
    for (const auto& [known, text] : kinds)
      if (known == kind) {
        to[name] = text;
        return;
      }
    fail("'{}' of a leaf is {}, which has no name", name, static_cast<int>(kind));
  }
};

/// Takes them from there.
struct Reader {
  const json& from;
  const std::string& where;

  const json& at(const char* name) const {
    const auto found = from.find(name);
    if (found == from.end()) fail("{}: '{}' is missing", where, name);
    return *found;
  }
  std::int64_t integer(const char* name, const json& value) const {
    constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
    if (!value.is_number_integer() || value > most || value < -most)
      fail("{}: '{}' holds {}, not an integer of 32 bits", where, name, value.dump());
    return value.get<std::int64_t>();
  }
  void operator()(const char* name, std::int64_t& value) const { value = integer(name, at(name)); }
  void operator()(const char* name, bool& value) const {
    if (!at(name).is_boolean()) fail("{}: '{}' is not true or false", where, name);
    value = at(name).get<bool>();
  }
  void operator()(const char* name, float& value) const {
    const json& given = at(name);
    if (given == "inf" || given == "-inf") {
      value = given == "inf" ? INFINITY : -INFINITY;
      return;
    }
    if (!given.is_number()) fail("{}: '{}' is not a number", where, name);
    value = given.get<float>();
  }
  void operator()(const char* name, std::vector<std::int64_t>& values) const {
    const json& given = at(name);
    if (!given.is_array()) fail("{}: '{}' is not a list", where, name);
    values.clear();
    for (const json& value : given) values.push_back(integer(name, value));
  }
  template <class Kind, std::size_t count>
  void operator()(const char* name, Kind& kind,
                  const std::pair<Kind, const char*> (&kinds)[count]) const {
    for (const auto& [known, text] : kinds) {
      if (at(name) != text) continue;
      kind = known;
      return;
    }
    fail("{}: '{}' is {}, which is not known", where, name, at(name).dump());
  }
};

// The name of each leaf, and its options: one pair for every type of the variant.

constexpr std::string_view leaf_name(const kernels::GroupedConv2dShape&) { return "convolution"; }
template <class Visit>
void fields(Visit& visit, kernels::GroupedConv2dShape& o) {
  visit("in_h", o.in_h), visit("in_w", o.in_w), visit("in_c", o.in_c), visit("out_c", o.out_c);
  visit("groups", o.groups), visit("kernel_h", o.kernel_h), visit("kernel_w", o.kernel_w);
  visit("stride_h", o.stride_h), visit("stride_w", o.stride_w);
  visit("dilation_h", o.dilation_h), visit("dilation_w", o.dilation_w);
  visit("pad_top", o.pad_h.before), visit("pad_bottom", o.pad_h.after);
  visit("pad_left", o.pad_w.before), visit("pad_right", o.pad_w.after);
}

constexpr std::string_view leaf_name(const layers::Affine::Options&) { return "affine"; }
template <class Visit>
void fields(Visit& visit, layers::Affine::Options& o) {
  visit("channels", o.channels), visit("slope", o.activation.slope);
}

constexpr std::string_view leaf_name(const layers::DenseNode&) { return "dense"; }
template <class Visit>
void fields(Visit& visit, layers::DenseNode& o) {
  visit("out", o.out), visit("slope", o.activation.slope);
}

constexpr std::string_view leaf_name(const layers::AddNode&) { return "add"; }
template <class Visit>
void fields(Visit& visit, layers::AddNode& o) {
  visit("slope", o.activation.slope);
}

constexpr std::string_view leaf_name(const layers::MultiplyNode&) { return "multiply"; }
template <class Visit>
void fields(Visit&, layers::MultiplyNode&) {}

constexpr std::string_view leaf_name(const WindowPoolShape&) { return "pool"; }
template <class Visit>
void fields(Visit& visit, WindowPoolShape& o) {
  visit("kind", o.kind, pool_kinds);
  visit("in_h", o.in_h), visit("in_w", o.in_w), visit("channels", o.channels);
  visit("out_h", o.out_h), visit("out_w", o.out_w);
  visit("kernel_h", o.kernel_h), visit("kernel_w", o.kernel_w);
  visit("stride_h", o.stride_h), visit("stride_w", o.stride_w);
  visit("dilation_h", o.dilation_h), visit("dilation_w", o.dilation_w);
  visit("pad_top", o.pad_h.before), visit("pad_bottom", o.pad_h.after);
  visit("pad_left", o.pad_w.before), visit("pad_right", o.pad_w.after);
  visit("count_padding", o.count_padding);
}

constexpr std::string_view leaf_name(const layers::GlobalPoolNode&) { return "global_pool"; }
template <class Visit>
void fields(Visit&, layers::GlobalPoolNode&) {}

constexpr std::string_view leaf_name(const PointwiseFunction&) { return "pointwise"; }
template <class Visit>
void fields(Visit& visit, PointwiseFunction& o) {
  visit("kind", o.kind, function_kinds), visit("a", o.a), visit("b", o.b);
}

constexpr std::string_view leaf_name(const layers::ConcatenateNode&) { return "concatenate"; }
template <class Visit>
void fields(Visit&, layers::ConcatenateNode&) {}

constexpr std::string_view leaf_name(const layers::Select::Options&) { return "select"; }
template <class Visit>
void fields(Visit& visit, layers::Select::Options& o) {
  visit("in_pixels", o.map.in_pixels), visit("in_channels", o.map.in_channels);
  visit("pixels", o.map.pixels), visit("channels", o.map.channels), visit("fill", o.map.fill);
  visit("height", o.height), visit("width", o.width);
}

constexpr std::string_view leaf_name(const layers::SoftmaxNode&) { return "softmax"; }
template <class Visit>
void fields(Visit& visit, layers::SoftmaxNode& o) {
  visit("values", o.values);
}

constexpr std::string_view leaf_name(const kernels::LocalResponseParams&) {
  return "local_response";
}
template <class Visit>
void fields(Visit& visit, kernels::LocalResponseParams& o) {
  visit("window", o.window), visit("alpha", o.alpha), visit("beta", o.beta), visit("bias", o.bias);
}

/// A leaf of that name, as its type makes it.
template <std::size_t... i>
std::optional<Leaf> leaf_named(std::string_view name, std::index_sequence<i...>) {
  std::optional<Leaf> leaf;
  const auto take = [&](const auto& blank) {
    if (name == leaf_name(blank)) leaf = blank;
  };
  (take(std::variant_alternative_t<i, Leaf>{}), ...);
  return leaf;
}

layers::NodeSpec parse_node(const json& entry, const std::string& where) {
  if (!entry.is_object()) fail("{}: not an object", where);
  layers::NodeSpec node;
  const Reader reader{entry, where};
  const json &leaf = reader.at("leaf"), &name = reader.at("name");
  if (!leaf.is_string() || !name.is_string()) fail("{}: 'leaf' and 'name' must be texts", where);
  node.name = name.get<std::string>();
  std::vector<std::int64_t> reads;
  reader("reads", reads);
  for (const std::int64_t value : reads) node.inputs.push_back(static_cast<layers::Value>(value));
  auto found =
      leaf_named(leaf.get<std::string>(), std::make_index_sequence<std::variant_size_v<Leaf>>());
  if (!found) fail("{}: there is no leaf '{}'", where, leaf.get<std::string>());
  std::visit([&](auto& options) { fields(reader, options); }, *found);
  node.leaf = std::move(*found);
  return node;
}

}  // namespace

std::string graph_text(const std::vector<layers::NodeSpec>& nodes) {
  json list = json::array();
  for (const layers::NodeSpec& node : nodes) {
    json entry = {{"name", node.name}, {"reads", node.inputs}};
    Writer writer{entry};
    Leaf leaf = node.leaf;
    std::visit(
        [&](auto& options) {
          entry["leaf"] = leaf_name(options);
          fields(writer, options);
        },
        leaf);
    list.push_back(std::move(entry));
  }
  return list.dump();
}

std::vector<layers::NodeSpec> parse_graph(std::string_view text, const std::string& what) {
  const json list = json::parse(text, nullptr, false);
  if (!list.is_array()) fail("{}: not a list in JSON", what);
  std::vector<layers::NodeSpec> nodes;
  for (const json& entry : list)
    nodes.push_back(parse_node(entry, fmt::format("{}, node {}", what, nodes.size() + 1)));
  return nodes;
}

}  // namespace pixeldp
