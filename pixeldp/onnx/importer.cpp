#include "pixeldp/onnx/importer.hpp"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/ranges.h>

#include "engine/error.hpp"
#include "pixeldp/onnx/operands.hpp"

namespace pixeldp::onnx {
namespace {

/// For messages: "conv_1 (Conv)".
std::string label(const OnnxNode& node) {
  const std::string operation =
      node.domain.empty() ? node.operation : node.domain + "." + node.operation;
  if (!node.name.empty()) return fmt::format("{} ({})", node.name, operation);
  return fmt::format("that makes '{}' ({})", fmt::join(node.outputs, "', '"), operation);
}

/// What a tensor keeps in memory.
std::int64_t numbers_of(const Symbol& symbol) {
  if (const auto* constant = std::get_if<Constant>(&symbol)) return constant->size();
  const auto& places = std::get<View>(symbol).places;
  return places ? std::ssize(*places) : 0;
}

class Importer {
 public:
  Importer(const OnnxModel& model, const std::string& what) : model_(model), what_(what) {}

  ImportedGraph run() {
    check_opset();
    std::int64_t weights = 0;
    for (const OnnxTensor& tensor : model_.initializers) {
      if (tensor.external)
        fail("{}: tensor {} lies in a file of its own, '{}', which was not read", what_,
             tensor.name, tensor.external->location);
      if (!symbols_.emplace(tensor.name, Constant::of(tensor)).second)
        fail("{}: there are two tensors named '{}'", what_, tensor.name);
      weights += std::visit([](const auto& values) { return std::ssize(values); }, tensor.values);
    }
    if (model_.outputs.size() != 1)
      fail("{}: the network has {} outputs: one is read, the scores of the classes", what_,
           model_.outputs.size());
    const OnnxValue& picture = find_picture();
    const bool last = is_channels_last(picture);
    Draft draft(picture_dims(picture), last, weights);
    symbols_.emplace(picture.name, draft.picture());
    for (const std::size_t i : ordered_nodes()) operate_node(model_.nodes[i], draft);

    const std::string& scores = model_.outputs[0].name;
    const auto found = symbols_.find(scores);
    if (found == symbols_.end()) fail("{}: nothing makes the output '{}'", what_, scores);
    const View* view = std::get_if<View>(&found->second);
    if (!view) fail("{}: the output '{}' does not depend on the picture", what_, scores);
    const Dims dims = picture_dims(picture);
    ImportedGraph graph{.height = dims[last ? 1 : 2],
                        .width = dims[last ? 2 : 3],
                        .channels = dims[last ? 3 : 1],
                        .network = {}};
    try {
      graph.network = draft.finish(*view);
    } catch (const Error& error) {
      fail("{}: output '{}': {}", what_, scores, error.what());
    }
    return graph;
  }

 private:
  void check_opset() const {
    const auto found = model_.opsets.find("");
    const std::int64_t opset = found == model_.opsets.end() ? 0 : found->second;
    if (opset < oldest_opset || opset > newest_opset)
      fail(
          "{}: its operators are those of opset {}; {} to {} are read: export it with one of these",
          what_, opset, oldest_opset, newest_opset);
  }

  const OnnxValue& find_picture() const {
    std::vector<std::string> names;
    const OnnxValue* picture = nullptr;
    for (const OnnxValue& input : model_.inputs) {
      if (symbols_.contains(input.name)) continue;  // an initializer's default, up to IR version 3
      names.push_back(input.name);
      picture = &input;
    }
    if (names.size() != 1)
      fail("{}: the network has {} inputs ({}): one is read, the picture", what_, names.size(),
           fmt::join(names, ", "));
    return *picture;
  }

  /// TensorFlow's order: where the second axis cannot be channels, and the last one can.
  static bool is_channels_last(const OnnxValue& picture) {
    constexpr std::int64_t most = 16;
    return picture.dims.size() == 4 && picture.dims[1].extent > most &&
           picture.dims[3].extent >= 1 && picture.dims[3].extent <= most;
  }

  Dims picture_dims(const OnnxValue& picture) const {
    constexpr std::int64_t most = 4096;
    const auto refuse = [&](const std::string& why) {
      fail("{}: input '{}' {}: pictures are read as 1x3x224x224 or 1x224x224x3, of float", what_,
           picture.name, why);
    };
    if (picture.type != onnx_float)
      refuse(fmt::format("is of type {}", onnx_type_name(picture.type)));
    if (picture.dims.size() != 4) refuse(fmt::format("has {} axes", picture.dims.size()));
    Dims dims;
    for (std::size_t k = 0; k < 4; ++k) {
      const OnnxValue::Dim& dim = picture.dims[k];
      if (k == 0 && dim.extent > 1)
        refuse(fmt::format("has a batch of {}: export it with a batch of 1, or a free one",
                           dim.extent));
      if (k > 0 && dim.extent == 0)
        refuse(fmt::format("has an axis {} of free extent{}: only that of the batch may be free", k,
                           dim.name.empty() ? "" : " '" + dim.name + "'"));
      if (dim.extent > most) refuse(fmt::format("has an axis of extent {}", dim.extent));
      dims.push_back(k == 0 ? 1 : dim.extent);
    }
    if (count(dims) > most_values) refuse(fmt::format("has {} values", count(dims)));
    return dims;
  }

  /// The nodes that the scores depend on, each behind those that it reads.
  std::vector<std::size_t> ordered_nodes() {
    std::map<std::string, std::size_t> makers;
    for (std::size_t i = 0; i < model_.nodes.size(); ++i)
      for (const std::string& output : model_.nodes[i].outputs)
        if (!output.empty() && (symbols_.contains(output) || !makers.emplace(output, i).second))
          fail("{}: node {}: something else makes '{}', too", what_, label(model_.nodes[i]),
               output);
    std::set<std::size_t> needed;
    std::vector<std::string> wanted = {model_.outputs[0].name};
    ++uses_[wanted[0]];
    while (!wanted.empty()) {
      const auto maker = makers.find(wanted.back());
      wanted.pop_back();
      if (maker == makers.end() || !needed.insert(maker->second).second) continue;
      for (const std::string& input : model_.nodes[maker->second].inputs) {
        ++uses_[input];
        wanted.push_back(input);
      }
    }
    for (const std::size_t i : needed)
      if (std::ranges::any_of(model_.nodes[i].attributes, &OnnxAttribute::is_graph))
        fail("{}: node {}: control flow is not read: a graph must be the same for every picture",
             what_, label(model_.nodes[i]));
    // In the file's order as far as that goes, which is as a rule all the way.
    std::vector<std::size_t> ordered;
    std::set<std::string> made;
    std::vector<std::size_t> waiting(needed.begin(), needed.end());
    while (!waiting.empty()) {
      std::vector<std::size_t> later;
      for (const std::size_t i : waiting) {
        const OnnxNode& node = model_.nodes[i];
        const bool ready = std::ranges::all_of(node.inputs, [&](const std::string& input) {
          return input.empty() || symbols_.contains(input) || made.contains(input);
        });
        if (!ready) {
          later.push_back(i);
          continue;
        }
        ordered.push_back(i);
        made.insert(node.outputs.begin(), node.outputs.end());
      }
      if (later.size() == waiting.size()) refuse_waiting(later, makers);
      waiting = std::move(later);
    }
    return ordered;
  }

  [[noreturn]] void refuse_waiting(const std::vector<std::size_t>& waiting,
                                   const std::map<std::string, std::size_t>& makers) const {
    for (const std::size_t i : waiting)
      for (const std::string& input : model_.nodes[i].inputs)
        if (!input.empty() && !symbols_.contains(input) && !makers.contains(input))
          fail("{}: node {} reads '{}', which nothing makes", what_, label(model_.nodes[i]), input);
    fail("{}: node {} is part of a cycle, or depends on one", what_,
         label(model_.nodes[waiting.front()]));
  }

  void operate_node(const OnnxNode& node, Draft& draft) {
    // What nothing else reads may be changed by what reads it.
    std::map<std::string, Symbol> inputs;
    for (const std::string& name : node.inputs) {
      if (name.empty()) continue;
      const Symbol& symbol = symbols_.at(name);
      if (const View* view = std::get_if<View>(&symbol)) {
        View mine = *view;
        mine.sole = mine.sole && uses_[name] == 1;
        inputs.emplace(name, std::move(mine));
      }
    }
    Operands operands(node, model_.opsets.at(""), model_.outputs[0].name,
                      [&](const std::string& name) -> const Symbol& {
                        const auto found = inputs.find(name);
                        return found == inputs.end() ? symbols_.at(name) : found->second;
                      });
    draft.set_name(node.name.empty() ? node.operation : node.name);
    std::vector<Symbol> made;
    try {
      made = operate(operands, draft);
      for (const Symbol& symbol : made) draft.take_room(numbers_of(symbol));
    } catch (const Error& error) {
      fail("{}: node {}: {}", what_, label(node), error.what());
    }
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      const std::string& output = node.outputs[i];
      if (output.empty()) continue;
      if (i < made.size())
        symbols_.emplace(output, std::move(made[i]));
      else if (uses_[output] > 0)
        fail("{}: node {}: its output '{}' is not read", what_, label(node), output);
    }
  }

  const OnnxModel& model_;
  const std::string& what_;
  std::map<std::string, Symbol> symbols_;
  std::map<std::string, int> uses_;  ///< of tensors, by nodes that the scores depend on
};

}  // namespace

ImportedGraph import_graph(const OnnxModel& model, const std::string& what) {
  return Importer(model, what).run();
}

}  // namespace pixeldp::onnx
