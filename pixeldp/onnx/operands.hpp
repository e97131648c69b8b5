#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <variant>

#include "pixeldp/onnx/draft.hpp"

namespace pixeldp::onnx {

/// A tensor of the graph: known, or depending on the picture.
using Symbol = std::variant<Constant, View>;

/// A node as its operator reads it: attributes by name, each asked for with the value that it has
/// where it is not there, and inputs.
class Operands {
 public:
  /// `read` gives the tensor of that name; `scores` is that of the network's output.
  Operands(const OnnxNode& node, std::int64_t opset, const std::string& scores,
           std::function<const Symbol&(const std::string&)> read)
      : node_(node), opset_(opset), scores_(scores), read_(std::move(read)) {}

  const OnnxNode& node() const { return node_; }
  std::int64_t opset() const { return opset_; }
  bool makes_scores() const { return !node_.outputs.empty() && node_.outputs[0] == scores_; }

  std::int64_t integer(const char* name, std::int64_t otherwise);
  float real(const char* name, float otherwise);
  std::string text(const char* name, const char* otherwise);
  /// None where it is not there.
  std::optional<Dims> integers(const char* name);
  const OnnxAttribute* attribute(const char* name);
  /// Throws an Error for an attribute that nobody asked for.
  void check_all_known() const;

  std::size_t inputs() const { return node_.inputs.size(); }
  bool has(std::size_t i) const { return i < inputs() && !node_.inputs[i].empty(); }
  const Symbol& input(std::size_t i) const;
  bool is_constant(std::size_t i) const { return std::holds_alternative<Constant>(input(i)); }
  bool all_constant() const;
  /// Throw an Error where it is the other kind.
  const Constant& constant(std::size_t i) const;
  const View& view(std::size_t i) const;
  /// The integers of an input or, in older opsets, of an attribute.
  std::optional<Dims> integers(std::size_t i, const char* name);

 private:
  const OnnxNode& node_;
  std::int64_t opset_;
  const std::string& scores_;
  std::function<const Symbol&(const std::string&)> read_;
  std::set<std::string> asked_;
};

/// What an operator makes: its outputs. Throws an Error, without a place, for what is not read.
std::vector<Symbol> operate(Operands& operands, Draft& draft);

/// Extents of either kind.
const Dims& dims_of(const Symbol& symbol);

// Operators by what they do; none where the operator is none of these.

std::optional<std::vector<Symbol>> operate_on_shapes(Operands& o, Draft& draft);
std::optional<std::vector<Symbol>> operate_on_windows(Operands& o, Draft& draft);
std::optional<std::vector<Symbol>> operate_on_values(Operands& o, Draft& draft);

}  // namespace pixeldp::onnx
