// What the operators of a graph append to a draft.
#include <algorithm>
#include <numeric>

#include <fmt/ranges.h>

#include "engine/error.hpp"
#include "pixeldp/onnx/draft.hpp"
#include "pixeldp/onnx/places.hpp"

namespace pixeldp::onnx {
namespace {

using layers::Value;

/// The value of a constant for each element of a tensor that it fits.
std::vector<double> spread(const Constant& constant, const Dims& dims) {
  const std::vector<float>& values = constant.reals();
  const auto size = static_cast<std::size_t>(count(dims));
  if (values.size() == 1) return std::vector<double>(size, values[0]);
  const Movement movement = expand(constant.dims, dims);
  std::vector<double> all;
  all.reserve(size);
  for (const std::int64_t at : movement.from) all.push_back(values[static_cast<std::size_t>(at)]);
  return all;
}

/// A value for each channel of an image that lies as it does; none where they are other values.
std::optional<std::vector<double>> channel_values(const Constant& constant, const View& x,
                                                  const Layout& layout) {
  if (!is_picture(x.dims) || !layout.is_image() || x.places || x.frame) return std::nullopt;
  const std::vector<float>& values = constant.reals();
  const std::int64_t channels = x.dims[1];
  const Dims& dims = constant.dims;
  if (values.size() == 1 && dims.size() <= 4)
    return std::vector<double>(static_cast<std::size_t>(channels), values[0]);
  const bool fit = std::ssize(values) == channels &&
                   (dims == Dims{channels, 1, 1} || dims == Dims{1, channels, 1, 1});
  return fit ? std::optional(std::vector<double>(values.begin(), values.end())) : std::nullopt;
}

/// The same in the order of the channels where it is the same for all pixels; else as it is.
std::vector<double> by_channel(std::vector<double> values, const Layout& layout) {
  const auto channels = static_cast<std::size_t>(layout.channels);
  for (std::size_t i = channels; i < values.size(); ++i)
    if (values[i] != values[i - channels]) return values;
  values.resize(channels);
  return values;
}

}  // namespace

View Draft::convolution(const View& x, kernels::GroupedConv2dShape shape, const Constant& weight) {
  View image = x;
  if (x.frame) {
    shape.pad_h.before += x.frame->top, shape.pad_h.after += x.frame->bottom;
    shape.pad_w.before += x.frame->left, shape.pad_w.after += x.frame->right;
    image.dims = x.frame->dims;
    image.frame.reset();
  }
  image = as_image(image);
  const Layout& from = layout(image);
  shape.in_h = from.height, shape.in_w = from.width, shape.in_c = from.channels;
  shape.out_c = weight.dims.at(0);
  if (shape.groups < 1 || shape.in_c % shape.groups != 0 || shape.out_c % shape.groups != 0)
    fail("{} groups do not divide {} and {} channels", shape.groups, shape.in_c, shape.out_c);
  if (weight.dims != Dims{shape.out_c, shape.inputs_of_group(), shape.kernel_h, shape.kernel_w})
    fail("its weight is {}, which does not fit {} channels in {} groups and kernels {}x{}",
         text(weight.dims), shape.in_c, shape.groups, shape.kernel_h, shape.kernel_w);
  if (shape.dilation_h * (shape.kernel_h - 1) >=
          shape.in_h + shape.pad_h.before + shape.pad_h.after ||
      shape.dilation_w * (shape.kernel_w - 1) >=
          shape.in_w + shape.pad_w.before + shape.pad_w.after)
    fail("its kernel is larger than the padded image of {}x{}", shape.in_h, shape.in_w);
  const Layout to{shape.out_h(), shape.out_w(), shape.out_c};
  return append({image.value}, shape, to, {1, to.channels, to.height, to.width},
                {.weight = weight.reals()});
}

View Draft::transposed_convolution(const View& x, const kernels::GroupedConv2dShape& shape,
                                   const Constant& weight) {
  const Layout image = image_layout(x);
  kernels::GroupedConv2dShape made = shape;
  made.stride_h = made.stride_w = 1;
  // Along an axis: the pixels between, and what padding adds or, below 0, cuts.
  struct Axis {
    std::int64_t stride, cut, kept;
  };
  const auto axis = [](std::int64_t inputs, std::int64_t stride, std::int64_t extent,
                       kernels::Padding& pad) {
    const std::int64_t before = extent - pad.before, after = extent - pad.after;
    const std::int64_t cut = std::max<std::int64_t>(-before, 0);
    pad = {std::max<std::int64_t>(before, 0), std::max<std::int64_t>(after, 0)};
    return Axis{stride, cut, stride * (inputs - 1) + 1 - cut - std::max<std::int64_t>(-after, 0)};
  };
  const Axis h = axis(image.height, shape.stride_h, shape.dilation_h * (shape.kernel_h - 1),
                      made.pad_h),
             w = axis(image.width, shape.stride_w, shape.dilation_w * (shape.kernel_w - 1),
                      made.pad_w);
  if (h.kept < 1 || w.kept < 1) fail("its padding cuts all of an image of {}", text(x.dims));
  Movement between{.dims = {1, image.channels, h.kept, w.kept}, .from = {}};
  if (count(between.dims) > most_values)
    fail("its strides make {} of {}, which is too many values", text(between.dims), text(x.dims));
  take_room(count(between.dims));
  for (std::int64_t c = 0; c < image.channels; ++c)
    for (std::int64_t p = h.cut; p < h.cut + h.kept; ++p)
      for (std::int64_t q = w.cut; q < w.cut + w.kept; ++q)
        between.from.push_back(p % h.stride == 0 && q % w.stride == 0
                                   ? (c * image.height + p / h.stride) * image.width + q / w.stride
                                   : -1);
  // The kernel backwards, from outputs to inputs of each group.
  const Dims& dims = weight.dims;
  const std::int64_t inputs = dims[0] / shape.groups, outputs = dims[1], taps = dims[2] * dims[3];
  std::vector<float> turned(weight.reals().size());
  for (std::int64_t i = 0; i < dims[0]; ++i)
    for (std::int64_t o = 0; o < outputs; ++o)
      for (std::int64_t tap = 0; tap < taps; ++tap)
        turned[static_cast<std::size_t>(((i / inputs * outputs + o) * inputs + i % inputs) * taps +
                                        taps - 1 - tap)] =
            weight.reals()[static_cast<std::size_t>((i * outputs + o) * taps + tap)];
  return convolution(move(x, between), made,
                     {{outputs * shape.groups, inputs, dims[2], dims[3]}, std::move(turned)});
}

/// Scales and shifts of a whole value, for each channel or each element.
View Draft::scale_value(const View& x, std::vector<double> scale, std::vector<double> shift) {
  const auto size = static_cast<std::int64_t>(scale.size());
  DraftNode* const before = maker(x);
  auto* const affine = before ? std::get_if<layers::Affine::Options>(&before->spec.leaf) : nullptr;
  if (affine && affine->activation.is_identity() && affine->channels == size) {
    for (std::size_t i = 0; i < scale.size(); ++i) {
      before->scale[i] *= scale[i];
      before->bias[i] = before->bias[i] * scale[i] + shift[i];
    }
    return x;
  }
  auto* const dense = before ? std::get_if<layers::DenseNode>(&before->spec.leaf) : nullptr;
  if (dense && dense->activation.is_identity() && dense->out == size) {
    const std::size_t inputs = before->weight.size() / scale.size();
    for (std::size_t i = 0; i < before->weight.size(); ++i)
      before->weight[i] = static_cast<float>(before->weight[i] * scale[i / inputs]);
    for (std::size_t i = 0; i < scale.size(); ++i)
      before->bias[i] = before->bias[i] * scale[i] + shift[i];
    return x;
  }
  View made = append({x.value}, layers::Affine::Options{.channels = size}, layout(x), x.dims,
                     {.weight = {}, .scale = std::move(scale), .bias = std::move(shift)});
  made.places = x.places;
  return made;
}

View Draft::affine(const View& x, const Constant& scale, const Constant& shift) {
  const Dims dims = broadcast(x.dims, broadcast(scale.dims, shift.dims));
  const auto few =
      std::pair(channel_values(scale, x, layout(x)), channel_values(shift, x, layout(x)));
  if (few.first && few.second) return scale_value(x, *few.first, *few.second);
  const View all = whole(fitted(x, dims));
  const Layout to = layout(all);
  const std::vector<std::int64_t> at = places(all);
  const auto arranged = [&](const Constant& constant) {
    const std::vector<double> values = spread(constant, dims);
    std::vector<double> ordered(values.size());
    for (std::size_t i = 0; i < values.size(); ++i)
      ordered[static_cast<std::size_t>(at[i])] = values[i];
    return ordered;
  };
  std::vector<double> scales = arranged(scale), shifts = arranged(shift);
  std::vector<double> few_scales = by_channel(scales, to), few_shifts = by_channel(shifts, to);
  if (few_scales.size() == few_shifts.size())
    return scale_value(all, std::move(few_scales), std::move(few_shifts));
  return scale_value(all, std::move(scales), std::move(shifts));
}

View Draft::activation(const View& x, kernels::Activation activation) {
  View all = whole(x);
  if (DraftNode* const before = maker(all)) {
    kernels::Activation* present = nullptr;
    if (auto* affine = std::get_if<layers::Affine::Options>(&before->spec.leaf))
      present = &affine->activation;
    if (auto* dense = std::get_if<layers::DenseNode>(&before->spec.leaf))
      present = &dense->activation;
    if (auto* add = std::get_if<layers::AddNode>(&before->spec.leaf)) present = &add->activation;
    if (present && present->is_identity()) {
      *present = activation;
      return all;
    }
  }
  const auto channels = static_cast<std::size_t>(layout(all).channels);
  View made =
      append({all.value},
             layers::Affine::Options{.channels = layout(all).channels, .activation = activation},
             layout(all), all.dims,
             {.weight = {},
              .scale = std::vector<double>(channels, 1.0),
              .bias = std::vector<double>(channels, 0.0)});
  made.places = all.places;
  return made;
}

View Draft::pointwise(const View& x, const kernels::PointwiseFunction& function) {
  const View all = whole(x);
  View made = append({all.value}, function, layout(all), all.dims);
  made.places = all.places;
  return made;
}

View Draft::product(const View& x, const Constant& weight) {
  if (weight.dims.size() != 2) fail("its weight is {}, not of two axes", text(weight.dims));
  const std::int64_t inputs = weight.dims[0], outputs = weight.dims[1];
  if (x.dims.empty() || x.dims.back() != inputs || count(x.dims) != inputs)
    fail("it multiplies {} by {}: one row for each picture is read", text(x.dims),
         text(weight.dims));
  const std::vector<std::int64_t> at = places(x);
  const std::vector<float>& from = weight.reals();
  const std::int64_t row = layout(x).size();
  std::int64_t size = 0;
  if (__builtin_mul_overflow(outputs, row, &size))
    fail("its weight would have {}x{} values, which is too many", outputs, row);
  take_room(size);
  DraftNode node{.weight = std::vector<float>(static_cast<std::size_t>(size), 0.0f),
                 .scale = {},
                 .bias = std::vector<double>(static_cast<std::size_t>(outputs), 0.0)};
  for (std::int64_t k = 0; k < inputs; ++k) {
    const std::int64_t place = at[static_cast<std::size_t>(k)];
    for (std::int64_t n = 0; n < outputs; ++n) {
      const float value = from[static_cast<std::size_t>(k * outputs + n)];
      if (place < 0)
        node.bias[static_cast<std::size_t>(n)] += double{value} * double{x.fill};
      else
        node.weight[static_cast<std::size_t>(n * row + place)] += value;
    }
  }
  Dims dims = x.dims;
  dims.back() = outputs;
  return append({x.value}, layers::DenseNode{.out = outputs}, {0, 0, outputs}, std::move(dims),
                std::move(node));
}

View Draft::constant(const Constant& values, const View& x) {
  const std::vector<float>& reals = values.reals();
  const bool alike = std::ranges::all_of(reals, [&](float value) { return value == reals[0]; });
  // An element that is filled up, or any one times zero.
  View made{.value = x.value,
            .dims = values.dims,
            .places = std::make_shared<std::vector<std::int64_t>>(reals.size(), alike ? -1 : 0)};
  made.sole = false;
  if (!alike) return affine(made, Constant::real(0.0f), values);
  if (!reals.empty()) made.fill = reals[0];
  return made;
}

View Draft::fitted(const View& x, const Dims& dims) {
  return count(dims) == count(x.dims) ? reshape(x, dims) : move(x, expand(x.dims, dims));
}

View Draft::sum(const View& a, const View& b) {
  const Dims dims = broadcast(a.dims, b.dims);
  const View first = whole(fitted(a, dims)), second = arranged_as(fitted(b, dims), first);
  View made = append({first.value, second.value}, layers::AddNode{}, layout(first), dims);
  made.places = first.places;
  return made;
}

View Draft::multiply(const View& a, const View& b) {
  const Dims dims = broadcast(a.dims, b.dims);
  if (count(a.dims) < count(dims) && count(b.dims) == count(dims)) return multiply(b, a);
  const bool by_channel = is_picture(dims) && a.dims == dims && count(b.dims) == dims[1] &&
                          b.dims == Dims{1, dims[1], 1, 1};
  if (by_channel) {
    const View image = as_image(a), factors = as_row(b);
    return append({image.value, factors.value}, layers::MultiplyNode{}, layout(image), dims);
  }
  const View first = whole(fitted(a, dims)), second = arranged_as(fitted(b, dims), first);
  View made = append({first.value, second.value}, layers::MultiplyNode{}, layout(first), dims);
  made.places = first.places;
  return made;
}

View Draft::concatenate(const std::vector<View>& parts, std::int64_t axis) {
  if (parts.size() == 1) return parts[0];
  Dims dims = parts.at(0).dims;
  const auto k = static_cast<std::size_t>(axis_of(axis, dims.size()));
  dims[k] = 0;
  for (const View& part : parts) {
    Dims without = part.dims;
    if (without.size() == dims.size()) without[k] = dims[k];
    if (without != dims)
      fail("{} and {} cannot be put side by side", text(parts[0].dims), text(part.dims));
    dims[k] += part.dims[k];
  }
  if (count(dims) > most_values)
    fail("{} elements are put side by side, which is too many", count(dims));
  std::vector<Value> values;
  if (is_picture(dims) && k == 1 && dims[2] * dims[3] > 1) {
    for (const View& part : parts) values.push_back(as_image(part).value);
    return append(std::move(values), layers::ConcatenateNode{}, {dims[2], dims[3], dims[1]}, dims);
  }
  // Row after row; an element's place follows from the part that it is from.
  std::vector<std::int64_t> starts;
  std::int64_t start = 0;
  for (const View& part : parts) {
    values.push_back(as_row(part).value);
    starts.push_back(start);
    start += count(part.dims);
  }
  auto places = std::make_shared<std::vector<std::int64_t>>();
  const std::int64_t outer =
      count(Dims(dims.begin(), dims.begin() + static_cast<std::ptrdiff_t>(k)));
  for (std::int64_t o = 0; o < outer; ++o)
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const std::int64_t of_outer = count(parts[i].dims) / outer;
      for (std::int64_t e = 0; e < of_outer; ++e) places->push_back(starts[i] + o * of_outer + e);
    }
  View made = append(std::move(values), layers::ConcatenateNode{}, {0, 0, start}, dims);
  made.places = std::move(places);
  return made;
}

View Draft::pool(const View& x, kernels::WindowPoolShape shape) {
  const View image = as_image(x);
  const Layout& from = layout(image);
  shape.in_h = from.height, shape.in_w = from.width, shape.channels = from.channels;
  const Layout to{shape.out_h, shape.out_w, shape.channels};
  return append({image.value}, shape, to, {1, to.channels, to.height, to.width});
}

View Draft::local_response(const View& x, const kernels::LocalResponseParams& params) {
  const View image = as_image(x);
  return append({image.value}, params, layout(image), x.dims);
}

View Draft::mean(const View& x, const Dims& axes, bool keep) {
  Dims kept = x.dims;
  for (const std::int64_t axis : axes)
    kept[static_cast<std::size_t>(axis_of(axis, x.dims.size()))] = 1;
  const View image = is_picture(x.dims) ? as_image(x) : whole(x);
  const Layout& from = layout(image);
  // The element that each one goes into.
  const Movement to = expand(kept, x.dims);
  const std::vector<std::int64_t> at = places(image);
  std::vector<std::int64_t> channel(static_cast<std::size_t>(count(kept)), -1),
      pixels(channel.size(), 0);
  for (std::size_t i = 0; i < at.size(); ++i) {
    const auto made = static_cast<std::size_t>(to.from[i]);
    const std::int64_t c = at[i] % from.channels;
    if (channel[made] >= 0 && channel[made] != c) fail("it takes means over channels");
    channel[made] = c;
    ++pixels[made];
  }
  if (!from.is_image() ||
      std::ranges::any_of(pixels, [&](std::int64_t n) { return n != from.pixels(); }))
    fail("it takes means over the axes ({}) of {}, which are not all pixels of an image",
         fmt::join(axes, ", "), text(x.dims));
  Dims dims = kept;
  if (!keep) {
    std::vector<std::int64_t> gone = axes;
    dims = squeeze(kept, gone);
  }
  View made = append({image.value}, layers::GlobalPoolNode{}, {0, 0, from.channels}, dims);
  made.places = std::make_shared<std::vector<std::int64_t>>(std::move(channel));
  return made;
}

View Draft::softmax(const View& x, std::int64_t axis, bool together) {
  const auto k = static_cast<std::size_t>(axis_of(axis, x.dims.size()));
  std::int64_t values = x.dims[k];
  View all = x;
  Dims order(x.dims.size());
  std::iota(order.begin(), order.end(), std::int64_t{0});
  Dims back = order;
  if (together) {
    values = count(Dims(x.dims.begin() + static_cast<std::ptrdiff_t>(k), x.dims.end()));
  } else {
    std::rotate(order.begin() + static_cast<std::ptrdiff_t>(k),
                order.begin() + static_cast<std::ptrdiff_t>(k) + 1, order.end());
    for (std::size_t i = 0; i < order.size(); ++i)
      back[static_cast<std::size_t>(order[i])] = static_cast<std::int64_t>(i);
    all = move(x, transpose(x.dims, order));
  }
  if (values == count(x.dims)) {  // one group, in whatever order
    all = whole(x);
    View made = append({all.value}, layers::SoftmaxNode{values}, layout(all), x.dims);
    made.places = all.places;
    return made;
  }
  const Dims moved = all.dims;
  const View row = as_row(all);
  View made = append({row.value}, layers::SoftmaxNode{values}, layout(row), moved);
  made.places = std::make_shared<std::vector<std::int64_t>>(numbers_to(count(moved)));
  return together ? made : move(made, transpose(moved, back));
}

}  // namespace pixeldp::onnx
