// Operators that move elements, or tell of shapes: of constants they are calculated, of what
// depends on the picture they make another view.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/error.hpp"
#include "pixeldp/onnx/operands.hpp"

namespace pixeldp::onnx {
namespace {

Symbol reshaped(const Symbol& x, const Dims& dims, const Draft& draft) {
  if (const auto* view = std::get_if<View>(&x)) return draft.reshape(*view, dims);
  Constant constant = std::get<Constant>(x);
  constant.dims = dims;
  return constant;
}

Symbol moved(const Symbol& x, const Movement& movement, const Draft& draft) {
  if (const auto* view = std::get_if<View>(&x)) return draft.move(*view, movement);
  return moved(std::get<Constant>(x), movement);
}

Dims flattened(const Dims& dims, std::int64_t axis) {
  const auto rank = static_cast<std::int64_t>(dims.size());
  const auto k = axis == rank ? rank : axis_of(axis, dims.size());
  return {count(Dims(dims.begin(), dims.begin() + k)), count(Dims(dims.begin() + k, dims.end()))};
}

Dims all_axes(const Dims& dims) {
  Dims axes(dims.size());
  std::iota(axes.begin(), axes.end(), std::int64_t{0});
  return axes;
}

Symbol slice(Operands& o, const Draft& draft) {
  const Symbol& x = o.input(0);
  const auto starts = o.integers(1, "starts"), ends = o.integers(2, "ends");
  if (!starts || !ends) fail("it says no starts or no ends");
  Dims axes = all_axes(dims_of(x));
  axes.resize(std::min(axes.size(), starts->size()));
  const Dims ones(starts->size(), 1);
  return moved(x,
               onnx::slice(dims_of(x), *starts, *ends, o.integers(3, "axes").value_or(axes),
                           o.has(4) ? o.constant(4).integers() : ones),
               draft);
}

std::vector<Symbol> split(Operands& o, const Draft& draft) {
  Symbol x = o.input(0);
  if (auto* view = std::get_if<View>(&x)) view->sole = false;
  const Dims dims = dims_of(x);
  const std::int64_t axis = axis_of(o.integer("axis", 0), dims.size());
  const std::int64_t extent = dims[static_cast<std::size_t>(axis)];
  const auto parts = static_cast<std::int64_t>(o.node().outputs.size());
  if (parts < 1) fail("it has no outputs");
  if (o.integer("num_outputs", parts) != parts) fail("num_outputs is not the number of outputs");
  const std::int64_t part = (extent + parts - 1) / parts;
  Dims sizes = o.integers(1, "split").value_or(Dims(static_cast<std::size_t>(parts), part));
  if (std::ssize(sizes) != parts) fail("it has {} parts for {} outputs", sizes.size(), parts);
  std::vector<Symbol> made;
  std::int64_t at = 0;
  for (const std::int64_t size : sizes) {
    if (size < 0 || size > extent) fail("a part of {} from an axis of {}", size, extent);
    const std::int64_t end = std::min(at + size, extent);
    made.push_back(moved(x, onnx::slice(dims, {at}, {end}, {axis}, {1}), draft));
    at = end;
  }
  return made;
}

Symbol pad(Operands& o, const Draft& draft) {
  const Symbol& x = o.input(0);
  const Dims& dims = dims_of(x);
  const std::string mode = o.text("mode", "constant");
  float fill = o.real("value", 0.0f);
  const auto pads = o.integers(1, "pads");
  if (!pads) fail("it says no pads");
  if (o.has(2)) {
    const Constant& value = o.constant(2);
    if (value.size() != 1) fail("it pads with {} values", value.size());
    fill = value.reals()[0];
  }
  if (!std::isfinite(fill)) fail("padding with {} is not read", fill);
  const Dims axes = o.has(3) ? o.constant(3).integers() : all_axes(dims);
  if (pads->size() != 2 * axes.size())
    fail("it has {} pads for {} axes", pads->size(), axes.size());
  Dims before(dims.size(), 0), after(dims.size(), 0);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const auto k = static_cast<std::size_t>(axis_of(axes[i], dims.size()));
    before[k] = (*pads)[i];
    after[k] = (*pads)[i + axes.size()];
  }
  if (const auto* view = std::get_if<View>(&x)) return draft.pad(*view, before, after, mode, fill);
  return moved(std::get<Constant>(x), onnx::pad(dims, before, after, mode), fill);
}

Symbol concatenate(Operands& o, Draft& draft) {
  const OnnxAttribute* axis = o.attribute("axis");
  if (!axis) fail("it says no axis");
  if (o.all_constant()) {
    std::vector<const Constant*> parts;
    for (std::size_t i = 0; i < o.inputs(); ++i) parts.push_back(&o.constant(i));
    return concatenate(parts, axis->integer);
  }
  std::size_t first = 0;
  while (o.is_constant(first)) ++first;
  std::vector<View> parts;
  for (std::size_t i = 0; i < o.inputs(); ++i)
    parts.push_back(o.is_constant(i) ? draft.constant(o.constant(i), o.view(first)) : o.view(i));
  return draft.concatenate(parts, axis->integer);
}

Symbol shape(Operands& o) {
  const Dims dims = dims_of(o.input(0));
  const auto rank = static_cast<std::int64_t>(dims.size());
  const auto place = [&](std::int64_t at) {
    return std::clamp<std::int64_t>(at < 0 ? at + rank : at, 0, rank);
  };
  const std::int64_t first = place(o.integer("start", 0)), end = place(o.integer("end", rank));
  return Constant::list(Dims(dims.begin() + first, dims.begin() + std::max(first, end)));
}

Symbol constant(Operands& o) {
  if (const OnnxAttribute* value = o.attribute("value"); value && value->tensor)
    return Constant::of(*value->tensor);
  if (const OnnxAttribute* value = o.attribute("value_float")) return Constant::real(value->real);
  if (const OnnxAttribute* value = o.attribute("value_int"))
    return Constant{{}, std::vector<std::int64_t>{value->integer}};
  if (const OnnxAttribute* value = o.attribute("value_floats"))
    return Constant{{std::ssize(value->reals)}, value->reals};
  if (const auto value = o.integers("value_ints")) return Constant::list(*value);
  fail("its value is of a kind that is not read");
}

Symbol constant_of_shape(Operands& o) {
  const Dims dims = o.constant(0).integers();
  const OnnxAttribute* value = o.attribute("value");
  const Constant single =
      value && value->tensor ? Constant::of(*value->tensor) : Constant::real(0.0f);
  if (single.size() != 1) fail("it repeats {} values", single.size());
  if (count(dims) > most_values)
    fail("it makes {} values of one, where a few bytes may ask for {}", count(dims), most_values);
  return moved(single, {dims, std::vector<std::int64_t>(static_cast<std::size_t>(count(dims)), 0)});
}

Symbol cast(Operands& o) {
  const auto type = static_cast<int>(o.integer("to", 0));
  o.integer("saturate", 1);
  const bool narrow = onnx_type_is_real(type) && type != onnx_float;
  if (onnx_type_name(type) == "undefined" || onnx_type_name(type) == "string" || narrow)
    fail("to type {} ({}) is not read", onnx_type_name(type), type);
  if (o.is_constant(0)) return cast(o.constant(0), type);
  if (type != onnx_float)
    fail("what depends on the picture stays float, not {}", onnx_type_name(type));
  return o.view(0);
}

}  // namespace

std::optional<std::vector<Symbol>> operate_on_shapes(Operands& o, Draft& draft) {
  const std::string& operation = o.node().operation;
  const auto one = [](Symbol made) { return std::vector<Symbol>{std::move(made)}; };
  const auto x = [&]() -> const Symbol& { return o.input(0); };
  const auto dims = [&]() -> const Dims& { return dims_of(o.input(0)); };
  if (operation == "Identity") return one(x());
  if (operation == "Constant") return one(constant(o));
  if (operation == "ConstantOfShape") return one(constant_of_shape(o));
  if (operation == "Shape") return one(shape(o));
  if (operation == "Cast") return one(cast(o));
  if (operation == "Reshape")
    return one(reshaped(
        x(), reshape(dims(), o.constant(1).integers(), o.integer("allowzero", 0) != 0), draft));
  if (operation == "Flatten")
    return one(reshaped(x(), flattened(dims(), o.integer("axis", 1)), draft));
  if (operation == "Squeeze")
    return one(reshaped(x(), squeeze(dims(), o.integers(1, "axes").value_or(Dims())), draft));
  if (operation == "Unsqueeze") {
    const auto axes = o.integers(1, "axes");
    if (!axes) fail("it says no axes");
    return one(reshaped(x(), unsqueeze(dims(), *axes), draft));
  }
  if (operation == "Transpose") {
    Dims reversed = all_axes(dims());
    std::ranges::reverse(reversed);
    return one(moved(x(), transpose(dims(), o.integers("perm").value_or(reversed)), draft));
  }
  if (operation == "Slice") return one(slice(o, draft));
  if (operation == "Gather")
    return one(moved(x(), gather(dims(), o.constant(1), o.integer("axis", 0)), draft));
  if (operation == "Expand")
    return one(moved(x(), expand(dims(), o.constant(1).integers()), draft));
  if (operation == "Split") return split(o, draft);
  if (operation == "Pad") return one(pad(o, draft));
  if (operation == "Concat") return one(concatenate(o, draft));
  return std::nullopt;
}

}  // namespace pixeldp::onnx
