#include "pixeldp/onnx/operands.hpp"

#include <algorithm>

#include "engine/error.hpp"

namespace pixeldp::onnx {

const OnnxAttribute* Operands::attribute(const char* name) {
  asked_.insert(name);
  const auto found = std::ranges::find(node_.attributes, name, &OnnxAttribute::name);
  return found == node_.attributes.end() ? nullptr : &*found;
}

std::int64_t Operands::integer(const char* name, std::int64_t otherwise) {
  const OnnxAttribute* found = attribute(name);
  return found ? found->integer : otherwise;
}

float Operands::real(const char* name, float otherwise) {
  const OnnxAttribute* found = attribute(name);
  return found ? found->real : otherwise;
}

std::string Operands::text(const char* name, const char* otherwise) {
  const OnnxAttribute* found = attribute(name);
  return found ? found->text : otherwise;
}

std::optional<Dims> Operands::integers(const char* name) {
  const OnnxAttribute* found = attribute(name);
  if (!found) return std::nullopt;
  return found->integers;
}

void Operands::check_all_known() const {
  for (const OnnxAttribute& attribute : node_.attributes)
    if (!asked_.contains(attribute.name)) fail("its attribute '{}' is not known", attribute.name);
}

const Symbol& Operands::input(std::size_t i) const {
  if (!has(i)) fail("its input {} is missing", i + 1);
  return read_(node_.inputs[i]);
}

bool Operands::all_constant() const {
  for (std::size_t i = 0; i < inputs(); ++i)
    if (has(i) && !is_constant(i)) return false;
  return true;
}

const Constant& Operands::constant(std::size_t i) const {
  const auto* constant = std::get_if<Constant>(&input(i));
  if (!constant)
    fail("its input '{}' depends on the picture, where a constant is read", node_.inputs[i]);
  return *constant;
}

const View& Operands::view(std::size_t i) const {
  const auto* view = std::get_if<View>(&input(i));
  if (!view)
    fail("its input '{}' is a constant, where what depends on the picture is read",
         node_.inputs[i]);
  return *view;
}

std::optional<Dims> Operands::integers(std::size_t i, const char* name) {
  const std::optional<Dims> older = integers(name);
  if (has(i)) return constant(i).integers();
  return older;
}

const Dims& dims_of(const Symbol& symbol) {
  return std::visit([](const auto& of) -> const Dims& { return of.dims; }, symbol);
}

std::vector<Symbol> operate(Operands& o, Draft& draft) {
  const OnnxNode& node = o.node();
  if (!node.domain.empty()) fail("operators of the domain '{}' are not known", node.domain);
  for (const auto& kind : {operate_on_shapes, operate_on_windows, operate_on_values}) {
    if (auto made = kind(o, draft)) {
      o.check_all_known();
      return std::move(*made);
    }
  }
  fail("this operator is not read");
}

}  // namespace pixeldp::onnx
