// Operators on each value: arithmetic, normalisations, activations.
#include <cmath>
#include <limits>

#include "engine/error.hpp"
#include "pixeldp/onnx/operands.hpp"

namespace pixeldp::onnx {
namespace {

using kernels::Activation;
using kernels::PointwiseFunction;
using Kind = PointwiseFunction::Kind;

constexpr float infinity = std::numeric_limits<float>::infinity();

Constant changed(const Constant& constant, float (*function)(float)) {
  std::vector<float> values = constant.reals();
  for (float& value : values) value = function(value);
  return {constant.dims, std::move(values)};
}

View negative(const View& x, Draft& draft) {
  return draft.affine(x, Constant::real(-1.0f), Constant::real(0.0f));
}

/// "Add", "Sub", "Mul", "Div" of what depends on the picture and of constants.
Symbol arithmetic(const std::string& operation, const Symbol& left, const Symbol& right,
                  Draft& draft) {
  const auto *a = std::get_if<View>(&left), *b = std::get_if<View>(&right);
  const Constant one = Constant::real(1.0f), zero = Constant::real(0.0f);
  const auto minus = [](float x) { return -x; };
  const auto inverse = [](float x) { return 1.0f / x; };
  if (a && b) {
    if (operation == "Add") return draft.sum(*a, *b);
    if (operation == "Sub") return draft.sum(*a, negative(*b, draft));
    if (operation == "Mul") return draft.multiply(*a, *b);
    fail("a quotient of two values that depend on the picture is not read");
  }
  if (!a && !b) return calculate(operation, std::get<Constant>(left), std::get<Constant>(right));
  const View& x = a ? *a : *b;
  const Constant& c = std::get<Constant>(a ? right : left);
  if (operation == "Add") return draft.affine(x, one, c);
  if (operation == "Mul") return draft.affine(x, c, zero);
  if (operation == "Sub")
    return a ? draft.affine(x, one, changed(c, minus)) : draft.affine(x, Constant::real(-1.0f), c);
  if (!a) fail("a constant divided by what depends on the picture is not read");
  return draft.affine(x, changed(c, inverse), zero);
}

Symbol batch_norm(Operands& o, Draft& draft) {
  const View& x = o.view(0);
  const float epsilon = o.real("epsilon", 1e-5f);
  o.real("momentum", 0.9f);
  if (o.integer("training_mode", 0) != 0) fail("training_mode is true: it would not repeat itself");
  if (o.integer("spatial", 1) != 1) fail("spatial 0 is not read");
  if (x.dims.size() < 2) fail("it reads {}", text(x.dims));
  for (std::size_t i = 1; i < 5; ++i)
    if (std::ssize(o.constant(i).reals()) != x.dims[1])
      fail("{} values for {} channels", o.constant(i).size(), x.dims[1]);
  const std::vector<float>&mean = o.constant(3).reals(), &variance = o.constant(4).reals();
  std::vector<float> scales = o.constant(1).reals(), shifts = o.constant(2).reals();
  for (std::size_t c = 0; c < scales.size(); ++c) {
    const double factor = scales[c] / std::sqrt(double{variance[c]} + double{epsilon});
    if (!std::isfinite(factor)) fail("the variance of channel {} is {}", c, variance[c]);
    scales[c] = static_cast<float>(factor);
    shifts[c] = static_cast<float>(shifts[c] - mean[c] * factor);
  }
  Dims channels(x.dims.size(), 1);
  channels[1] = x.dims[1];
  return draft.affine(x, {channels, std::move(scales)}, {channels, std::move(shifts)});
}

Symbol clip(Operands& o, Draft& draft) {
  float low = o.real("min", -infinity), high = o.real("max", infinity);
  const auto limit = [&](std::size_t i, float& to) {
    if (!o.has(i)) return;
    if (o.constant(i).size() != 1) fail("its limits are {}", text(o.constant(i).dims));
    to = o.constant(i).reals()[0];
  };
  limit(1, low);
  limit(2, high);
  constexpr float most = std::numeric_limits<float>::max();
  if (low == -most) low = -infinity;
  if (high == most) high = infinity;
  if (std::isnan(low) || std::isnan(high) || low > high)
    fail("its limits are {} and {}", low, high);
  if (low == 0.0f && high == infinity) return draft.activation(o.view(0), Activation::relu());
  return draft.pointwise(o.view(0), {.kind = Kind::clamp, .a = low, .b = high});
}

Symbol parametric_relu(Operands& o, Draft& draft) {
  const Constant& slope = o.constant(1);
  if (slope.size() == 1)
    return draft.activation(o.view(0), Activation::leaky_relu(slope.reals()[0]));
  // relu(x) - slope relu(-x)
  View x = o.view(0);
  x.sole = false;
  const Constant zero = Constant::real(0.0f);
  const View below =
      draft.activation(draft.affine(x, Constant::real(-1.0f), zero), Activation::relu());
  return draft.sum(draft.activation(x, Activation::relu()),
                   draft.affine(below, changed(slope, [](float s) { return -s; }), zero));
}

Symbol dropout(Operands& o) {
  o.real("ratio", 0.5f);
  o.integer("seed", 0);
  if (o.has(1)) o.constant(1);
  if (o.has(2)) {
    const Constant& training = o.constant(2);
    if (training.size() != 1 || training.integers()[0] != 0)
      fail("training_mode is true: it would be random at every run");
  }
  return o.view(0);
}

Symbol softmax(Operands& o, Draft& draft, bool logarithm) {
  const bool together = o.opset() < 13;
  const View& x = o.view(0);
  const std::int64_t axis = o.integer("axis", together ? 1 : -1);
  if (logarithm && (!o.makes_scores() || x.dims.at(static_cast<std::size_t>(
                                             axis_of(axis, x.dims.size()))) != count(x.dims)))
    fail("it is read as the last operator alone, over all scores, where it changes nothing");
  return draft.softmax(x, axis, together);
}

std::optional<Symbol> activation(Operands& o, Draft& draft) {
  const std::string& operation = o.node().operation;
  if (operation == "Relu") return draft.activation(o.view(0), Activation::relu());
  if (operation == "LeakyRelu")
    return draft.activation(o.view(0), Activation::leaky_relu(o.real("alpha", 0.01f)));
  if (operation == "PRelu") return parametric_relu(o, draft);
  if (operation == "Clip") return clip(o, draft);
  if (operation == "Sigmoid") return draft.pointwise(o.view(0), {.kind = Kind::sigmoid});
  if (operation == "Tanh") return draft.pointwise(o.view(0), {.kind = Kind::tanh});
  if (operation == "Elu")
    return draft.pointwise(o.view(0), {.kind = Kind::elu, .a = o.real("alpha", 1.0f)});
  if (operation == "HardSigmoid")
    return draft.pointwise(
        o.view(0),
        {.kind = Kind::hard_sigmoid, .a = o.real("alpha", 0.2f), .b = o.real("beta", 0.5f)});
  if (operation == "HardSwish") return draft.pointwise(o.view(0), {.kind = Kind::hard_swish});
  if (operation == "Softmax") return softmax(o, draft, false);
  if (operation == "LogSoftmax") return softmax(o, draft, true);
  return std::nullopt;
}

}  // namespace

std::optional<std::vector<Symbol>> operate_on_values(Operands& o, Draft& draft) {
  const std::string& operation = o.node().operation;
  const auto one = [](Symbol made) { return std::vector<Symbol>{std::move(made)}; };
  const bool binary =
      operation == "Add" || operation == "Sub" || operation == "Mul" || operation == "Div";
  if (o.all_constant() && o.inputs() > 0) {
    Constant made;
    if (calculate(operation, o.constant(0), made)) return one(made);
  }
  if (binary) return one(arithmetic(operation, o.input(0), o.input(1), draft));
  if (operation == "Sum") {
    Symbol total = o.input(0);
    for (std::size_t i = 1; i < o.inputs(); ++i)
      total = arithmetic("Add", total, o.input(i), draft);
    return one(total);
  }
  if (operation == "Neg") return one(negative(o.view(0), draft));
  if (operation == "BatchNormalization") return one(batch_norm(o, draft));
  if (operation == "Dropout") return one(dropout(o));
  if (auto made = activation(o, draft)) return one(std::move(*made));
  return std::nullopt;
}

}  // namespace pixeldp::onnx
