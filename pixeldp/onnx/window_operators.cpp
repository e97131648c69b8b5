// Operators that move a window over an image or its channels, and products.
#include <algorithm>

#include "engine/error.hpp"
#include "pixeldp/onnx/operands.hpp"

namespace pixeldp::onnx {
namespace {

/// Along rows, then columns.
struct Window {
  Dims kernel, strides, dilations, before, after;

  std::int64_t extent(std::size_t k) const { return dilations[k] * (kernel[k] - 1) + 1; }
};

Dims two(Operands& o, const char* name, std::int64_t otherwise) {
  constexpr std::int64_t most = 1 << 20;
  const Dims values = o.integers(name).value_or(Dims{otherwise, otherwise});
  if (values.size() != 2) fail("'{}' has {} numbers: images are read", name, values.size());
  if (std::ranges::min(values) < 1 || std::ranges::max(values) > most)
    fail("'{}' is {} and {}", name, values[0], values[1]);
  return values;
}

/// The window of a convolution or a pooling over an image of this layout.
Window window(Operands& o, const Dims& kernel, const Layout& image) {
  Window w{.kernel = kernel,
           .strides = two(o, "strides", 1),
           .dilations = two(o, "dilations", 1),
           .before = {0, 0},
           .after = {0, 0}};
  const std::string automatic = o.text("auto_pad", "NOTSET");
  const Dims pads = o.integers("pads").value_or(Dims{0, 0, 0, 0});
  if (automatic == "NOTSET") {
    constexpr std::int64_t most = 1 << 12;
    if (pads.size() != 4 || std::ranges::min(pads) < 0 || std::ranges::max(pads) > most)
      fail("'pads' must be four numbers from 0 to {}", most);
    w.before = {pads[0], pads[1]};
    w.after = {pads[2], pads[3]};
    return w;
  }
  if (automatic == "VALID") return w;
  if (automatic != "SAME_UPPER" && automatic != "SAME_LOWER")
    fail("auto_pad '{}' is not known", automatic);
  for (std::size_t k = 0; k < 2; ++k) {
    const std::int64_t inputs = k == 0 ? image.height : image.width, stride = w.strides[k];
    const std::int64_t outputs = (inputs + stride - 1) / stride;
    const std::int64_t total =
        std::max<std::int64_t>((outputs - 1) * stride + w.extent(k) - inputs, 0);
    const std::int64_t less = total / 2, more = total - less;
    w.before[k] = automatic == "SAME_UPPER" ? less : more;
    w.after[k] = automatic == "SAME_UPPER" ? more : less;
  }
  return w;
}

/// A constant [C] as one for the channels of [1, C, ...].
Constant of_channels(const Constant& constant, const Dims& dims) {
  if (constant.dims != Dims{dims.at(1)})
    fail("a constant of {} does not fit {} channels", text(constant.dims), dims.at(1));
  Constant made = constant;
  made.dims.assign(dims.size(), 1);
  made.dims[1] = dims[1];
  return made;
}

Symbol convolution(Operands& o, Draft& draft) {
  const View& x = o.view(0);
  const Constant& weight = o.constant(1);
  if (weight.dims.size() != 4) fail("its weight is {}: images are read", text(weight.dims));
  const Dims kernel = {weight.dims[2], weight.dims[3]};
  if (o.integers("kernel_shape").value_or(kernel) != kernel)
    fail("'kernel_shape' is not that of its weight, {}", text(weight.dims));
  if (std::ranges::min(weight.dims) < 1) fail("its weight is {}", text(weight.dims));
  const Window w = window(o, kernel, draft.image_layout(x));
  const std::int64_t groups = o.integer("group", 1);
  const bool single = groups == 1 && x.dims[2] * x.dims[3] == 1 && kernel == Dims{1, 1} &&
                      w.before == Dims{0, 0} && w.after == Dims{0, 0} &&
                      weight.dims[1] == x.dims[1];
  View y;
  if (single) {  // a product
    Constant matrix = weight;
    matrix.dims = {weight.dims[0], weight.dims[1]};
    y = draft.product(draft.reshape(x, {1, x.dims[1]}),
                      moved(matrix, transpose(matrix.dims, {1, 0})));
    y = draft.reshape(y, {1, weight.dims[0], 1, 1});
  } else {
    y = draft.convolution(x,
                          {.groups = groups,
                           .kernel_h = kernel[0],
                           .kernel_w = kernel[1],
                           .stride_h = w.strides[0],
                           .stride_w = w.strides[1],
                           .dilation_h = w.dilations[0],
                           .dilation_w = w.dilations[1],
                           .pad_h = {w.before[0], w.after[0]},
                           .pad_w = {w.before[1], w.after[1]}},
                          weight);
  }
  if (!o.has(2)) return y;
  return draft.affine(y, Constant::real(1.0f), of_channels(o.constant(2), y.dims));
}

Symbol transposed_convolution(Operands& o, Draft& draft) {
  const View& x = o.view(0);
  const Constant& weight = o.constant(1);
  const Layout image = draft.image_layout(x);
  const std::int64_t groups = o.integer("group", 1);
  if (weight.dims.size() != 4 || std::ranges::min(weight.dims) < 1)
    fail("its weight is {}: images are read", text(weight.dims));
  if (weight.dims[0] != image.channels || groups < 1 || image.channels % groups != 0)
    fail("its weight is {} in {} groups, which does not fit {} channels", text(weight.dims), groups,
         image.channels);
  const Dims kernel = {weight.dims[2], weight.dims[3]};
  if (o.integers("kernel_shape").value_or(kernel) != kernel)
    fail("'kernel_shape' is not that of its weight, {}", text(weight.dims));
  const Dims strides = two(o, "strides", 1), dilations = two(o, "dilations", 1);
  const Dims more = o.integers("output_padding").value_or(Dims{0, 0});
  const Dims pads = o.integers("pads").value_or(Dims{0, 0, 0, 0});
  constexpr std::int64_t most = 1 << 12;
  if (pads.size() != 4 || std::ranges::min(pads) < 0 || std::ranges::max(pads) > most)
    fail("'pads' must be four numbers from 0 to {}", most);
  if (more.size() != 2 || std::ranges::min(more) < 0 || std::ranges::max(more) > most)
    fail("'output_padding' must be two numbers from 0 to {}", most);
  std::optional<Dims> wanted = o.integers("output_shape");
  const std::string automatic = o.text("auto_pad", "NOTSET");
  if (automatic == "SAME_UPPER" || automatic == "SAME_LOWER")
    wanted = {image.height * strides[0], image.width * strides[1]};
  else if (automatic != "NOTSET" && automatic != "VALID")
    fail("auto_pad '{}' is not known", automatic);
  if (wanted && (wanted->size() != 2 || std::ranges::min(*wanted) < 1 ||
                 std::ranges::max(*wanted) > most_values))
    fail("'output_shape' must be two numbers from 1 to {}, rows and columns of what it makes",
         most_values);
  kernels::Padding pad[2];
  for (std::size_t k = 0; k < 2; ++k) {
    const std::int64_t inputs = k == 0 ? image.height : image.width;
    const std::int64_t whole =
        strides[k] * (inputs - 1) + dilations[k] * (kernel[k] - 1) + 1 + more[k];
    if (wanted) {
      // Of an uneven number, SAME_UPPER alone cuts more behind. What is too little is zeros there.
      const std::int64_t total = whole - (*wanted)[k], half = std::max<std::int64_t>(total, 0) / 2;
      pad[k].before = automatic == "SAME_UPPER" ? half : std::max<std::int64_t>(total, 0) - half;
      pad[k].after = total - pad[k].before;
    } else if (automatic == "NOTSET") {
      pad[k] = {pads[k], pads[k + 2]};
    }
    pad[k].after -= more[k];
    if (whole - more[k] - pad[k].before - pad[k].after < 1)
      fail("its padding leaves nothing of an image of {}x{}", image.height, image.width);
  }
  const View y = draft.transposed_convolution(x,
                                              {.groups = groups,
                                               .kernel_h = kernel[0],
                                               .kernel_w = kernel[1],
                                               .stride_h = strides[0],
                                               .stride_w = strides[1],
                                               .dilation_h = dilations[0],
                                               .dilation_w = dilations[1],
                                               .pad_h = pad[0],
                                               .pad_w = pad[1]},
                                              weight);
  if (!o.has(2)) return y;
  return draft.affine(y, Constant::real(1.0f), of_channels(o.constant(2), y.dims));
}

Symbol local_response(Operands& o, Draft& draft) {
  if (!o.attribute("size")) fail("it says no size");
  const kernels::LocalResponseParams params = {.window = o.integer("size", 1),
                                               .alpha = o.real("alpha", 1e-4f),
                                               .beta = o.real("beta", 0.75f),
                                               .bias = o.real("bias", 1.0f)};
  check(params);
  return draft.local_response(o.view(0), params);
}

Symbol pool(Operands& o, Draft& draft, kernels::WindowPoolShape::Kind kind) {
  const View& x = o.view(0);
  if (!o.attribute("kernel_shape")) fail("it says no kernel_shape");
  const Layout image = draft.image_layout(x);
  const Window w = window(o, two(o, "kernel_shape", 1), image);
  const bool up = o.integer("ceil_mode", 0) != 0;
  if (o.integer("storage_order", 0) != 0) fail("storage_order 1 is not read");
  const bool same = o.text("auto_pad", "NOTSET").starts_with("SAME");
  const auto outputs = [&](std::int64_t inputs, std::size_t k) {
    const std::int64_t room = inputs + w.before[k] + w.after[k] - w.extent(k);
    const std::int64_t stride = w.strides[k];
    if (same) return (inputs + stride - 1) / stride;
    if (room < 0) fail("its window is larger than the padded image");
    std::int64_t windows = (up ? room + stride - 1 : room) / stride + 1;
    // One that would begin behind the image is none.
    if (up && (windows - 1) * stride >= inputs + w.before[k]) --windows;
    return windows;
  };
  return draft.pool(x, {.kind = kind,
                        .out_h = outputs(image.height, 0),
                        .out_w = outputs(image.width, 1),
                        .kernel_h = w.kernel[0],
                        .kernel_w = w.kernel[1],
                        .stride_h = w.strides[0],
                        .stride_w = w.strides[1],
                        .dilation_h = w.dilations[0],
                        .dilation_w = w.dilations[1],
                        .pad_h = {w.before[0], w.after[0]},
                        .pad_w = {w.before[1], w.after[1]},
                        .count_padding = o.integer("count_include_pad", 0) != 0});
}

Symbol global_max_pool(Operands& o, Draft& draft) {
  const Layout image = draft.image_layout(o.view(0));
  return draft.pool(o.view(0), {.kind = kernels::WindowPoolShape::Kind::max,
                                .out_h = 1,
                                .out_w = 1,
                                .kernel_h = image.height,
                                .kernel_w = image.width,
                                .pad_h = {},
                                .pad_w = {}});
}

Symbol gemm(Operands& o, Draft& draft) {
  if (o.integer("transA", 0) != 0) fail("transA is not read");
  const bool transposed = o.integer("transB", 0) != 0;
  const float alpha = o.real("alpha", 1.0f), beta = o.real("beta", 1.0f);
  const View& x = o.view(0);
  const Constant& weight = o.constant(1);
  if (x.dims.size() != 2 || weight.dims.size() != 2)
    fail("it multiplies {} by {}", text(x.dims), text(weight.dims));
  View y = draft.product(x, transposed ? moved(weight, transpose(weight.dims, {1, 0})) : weight);
  if (alpha != 1.0f) y = draft.affine(y, Constant::real(alpha), Constant::real(0.0f));
  if (!o.has(2)) return y;
  if (!o.is_constant(2)) {
    const View more = beta == 1.0f
                          ? o.view(2)
                          : draft.affine(o.view(2), Constant::real(beta), Constant::real(0.0f));
    if (count(broadcast(y.dims, more.dims)) != count(y.dims)) fail("C is larger than the product");
    return draft.sum(y, more);
  }
  Constant bias = o.constant(2);
  if (broadcast(y.dims, bias.dims) != y.dims)
    fail("C of {} does not fit {}", text(bias.dims), text(y.dims));
  if (beta != 1.0f) {
    std::vector<float> values = bias.reals();
    for (float& value : values) value *= beta;
    bias.values = std::move(values);
  }
  return draft.affine(y, Constant::real(1.0f), bias);
}

Symbol matrix_product(Operands& o, Draft& draft) {
  const View& x = o.view(0);
  Constant weight = o.constant(1);
  while (weight.dims.size() > 2 && weight.dims.front() == 1) weight.dims.erase(weight.dims.begin());
  return draft.product(x, weight);
}

Symbol reduce_mean(Operands& o, Draft& draft) {
  const View& x = o.view(0);
  const auto axes = o.integers(1, "axes");
  const bool none = !axes || axes->empty();
  const bool keep = o.integer("keepdims", 1) != 0;
  if (none && o.integer("noop_with_empty_axes", 0) != 0) return x;
  Dims all = {};
  for (std::size_t k = 0; k < x.dims.size(); ++k) all.push_back(static_cast<std::int64_t>(k));
  return draft.mean(x, none ? all : *axes, keep);
}

}  // namespace

std::optional<std::vector<Symbol>> operate_on_windows(Operands& o, Draft& draft) {
  using Kind = kernels::WindowPoolShape::Kind;
  const std::string& operation = o.node().operation;
  const auto one = [](Symbol made) { return std::vector<Symbol>{std::move(made)}; };
  if (operation == "Conv") return one(convolution(o, draft));
  if (operation == "ConvTranspose") return one(transposed_convolution(o, draft));
  if (operation == "LRN") return one(local_response(o, draft));
  if (operation == "MaxPool") return one(pool(o, draft, Kind::max));
  if (operation == "AveragePool") return one(pool(o, draft, Kind::average));
  if (operation == "GlobalMaxPool") return one(global_max_pool(o, draft));
  if (operation == "GlobalAveragePool") {
    draft.image_layout(o.view(0));
    return one(draft.mean(o.view(0), {2, 3}, true));
  }
  if (operation == "ReduceMean") return one(reduce_mean(o, draft));
  if (operation == "Gemm") return one(gemm(o, draft));
  if (operation == "MatMul") return one(matrix_product(o, draft));
  return std::nullopt;
}

}  // namespace pixeldp::onnx
