#include "pixeldp/onnx/draft.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/ranges.h>

#include "engine/error.hpp"
#include "pixeldp/onnx/places.hpp"

namespace pixeldp::onnx {
namespace {

using layers::Value;

std::vector<float> to_floats(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

}  // namespace

bool is_picture(const Dims& dims) { return dims.size() == 4 && dims[0] == 1; }

std::vector<std::int64_t> image_places(const Dims& dims) {
  const std::int64_t channels = dims[1], pixels = dims[2] * dims[3];
  std::vector<std::int64_t> places;
  places.reserve(static_cast<std::size_t>(channels * pixels));
  for (std::int64_t c = 0; c < channels; ++c)
    for (std::int64_t p = 0; p < pixels; ++p) places.push_back(p * channels + c);
  return places;
}

std::vector<std::int64_t> numbers_to(std::int64_t size) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(size));
  std::iota(all.begin(), all.end(), std::int64_t{0});
  return all;
}

Draft::Draft(const Dims& picture, bool channels_last, std::int64_t weights)
    : room_(4 * most_values + 2 * weights) {
  const Layout layout = channels_last ? Layout{picture[1], picture[2], picture[3]}
                                      : Layout{picture[2], picture[3], picture[1]};
  layouts_.push_back(layout);
  picture_ = {.value = 0, .dims = picture, .sole = false};
  if (channels_last)
    picture_.places = std::make_shared<std::vector<std::int64_t>>(numbers_to(layout.size()));
}

void Draft::take_room(std::int64_t numbers) {
  room_ -= numbers;
  if (room_ < 0) fail("the nodes up to here make too many numbers of few weights");
}

std::string Draft::unique_name() {
  std::string name = name_;
  for (char& c : name) {
    const bool fit = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '_' || c == '.' || c == '/' || c == '-';
    if (!fit) c = '_';
  }
  if (name.empty()) name = "layer";
  while (true) {
    const int number = ++names_[name];
    if (number == 1) return name;
    name += fmt::format("_{}", number);
  }
}

std::vector<std::int64_t> Draft::places(const View& x) const {
  if (x.frame) {
    View inner = x;
    inner.dims = x.frame->dims;
    inner.frame.reset();
    std::vector<std::int64_t> made = places(inner);
    const Movement movement = onnx::pad(inner.dims, {0, 0, x.frame->top, x.frame->left},
                                        {0, 0, x.frame->bottom, x.frame->right}, "constant");
    std::vector<std::int64_t> all;
    for (const std::int64_t at : movement.from)
      all.push_back(at < 0 ? -1 : made[static_cast<std::size_t>(at)]);
    return all;
  }
  if (x.places) return *x.places;
  return is_picture(x.dims) ? image_places(x.dims) : numbers_to(count(x.dims));
}

/// Whether the elements are all of the value, in the order of an image or a row.
bool Draft::in_order(const View& x) const {
  if (x.frame) return false;
  if (!x.places) return true;
  if (std::ssize(*x.places) != layout(x).size()) return false;
  return is_picture(x.dims) ? *x.places == image_places(x.dims)
                            : *x.places == numbers_to(count(x.dims));
}

DraftNode* Draft::maker(const View& x) {
  return x.sole && x.value > 0 ? &nodes_[static_cast<std::size_t>(x.value - 1)] : nullptr;
}

View Draft::append(std::vector<Value> inputs, layers::NodeSpec::Leaf leaf, Layout layout, Dims dims,
                   DraftNode node) {
  if (layout.size() < 1 || layout.size() > most_values)
    fail("a picture becomes {} values, which are not from 1 to {}", layout.size(), most_values);
  if (const auto* selection = std::get_if<layers::Select::Options>(&leaf))
    take_room(std::ssize(selection->map.pixels) + std::ssize(selection->map.channels));
  take_room(std::ssize(node.scale) + std::ssize(node.bias));
  node.spec = {.name = unique_name(), .inputs = std::move(inputs), .leaf = std::move(leaf)};
  nodes_.push_back(std::move(node));
  layouts_.push_back(layout);
  return {.value = static_cast<Value>(nodes_.size()), .dims = std::move(dims)};
}

View Draft::move(const View& x, const Movement& movement, float fill) const {
  const std::vector<std::int64_t> from = places(x);
  const bool fills = std::ranges::find(from, -1) != from.end();
  const bool fills_more = std::ranges::find(movement.from, -1) != movement.from.end();
  if (fills && fills_more && x.fill != fill)
    fail("values are filled up by {} and by {}, which is not read", x.fill, fill);
  auto made = std::make_shared<std::vector<std::int64_t>>();
  made->reserve(movement.from.size());
  for (const std::int64_t at : movement.from)
    made->push_back(at < 0 ? -1 : from[static_cast<std::size_t>(at)]);
  View view = x;
  view.dims = movement.dims;
  view.places = std::move(made);
  view.frame.reset();
  if (fills_more) view.fill = fill;
  return view;
}

View Draft::reshape(const View& x, const Dims& dims) const {
  if (dims == x.dims) return x;
  const bool pixels = is_picture(x.dims) && x.dims[2] * x.dims[3] > 1;
  View view = x;
  if (x.frame || (!x.places && (pixels || is_picture(dims)))) {
    view.places = std::make_shared<std::vector<std::int64_t>>(places(x));
    view.frame.reset();
  }
  view.dims = dims;
  return view;
}

View Draft::pad(const View& x, const Dims& before, const Dims& after, const std::string& mode,
                float fill) const {
  const bool of_pixels =
      is_picture(x.dims) && before[0] == 0 && after[0] == 0 && before[1] == 0 && after[1] == 0;
  const bool frames = std::ranges::min(before) >= 0 && std::ranges::min(after) >= 0;
  if (of_pixels && frames && mode == "constant" && fill == 0.0f && !x.frame && !x.places) {
    const Movement checked = onnx::pad(x.dims, before, after, mode);
    View view = x;
    view.dims = checked.dims;
    view.fill = fill;
    view.frame = {
        .dims = x.dims, .top = before[2], .bottom = after[2], .left = before[3], .right = after[3]};
    return view;
  }
  return move(x, onnx::pad(x.dims, before, after, mode), fill);
}

/// A value of its own with the elements `from` of x's value, which are laid out as `to`.
View Draft::select(const View& x, const std::vector<std::int64_t>& from, const Layout& to,
                   const Dims& dims) {
  constexpr std::int64_t none = kernels::SelectionMap::none;
  const Layout& source = layout(x);
  kernels::SelectionMap map{.in_pixels = source.pixels(),
                            .in_channels = source.channels,
                            .pixels = std::vector(static_cast<std::size_t>(to.pixels()), none),
                            .channels = std::vector(static_cast<std::size_t>(to.channels), none),
                            .fill = x.fill};
  const auto channels = static_cast<std::size_t>(to.channels);
  for (std::size_t i = 0; i < from.size(); ++i) {
    if (from[i] < 0) continue;
    map.pixels[i / channels] = from[i] / source.channels;
    map.channels[i % channels] = from[i] % source.channels;
  }
  for (std::size_t i = 0; i < from.size(); ++i) {
    const std::int64_t p = map.pixels[i / channels], c = map.channels[i % channels];
    if (from[i] == (p < 0 || c < 0 ? none : p * source.channels + c)) continue;
    // It does not go by pixels and channels: value by value.
    map = {.in_pixels = source.size(),
           .in_channels = 1,
           .pixels = from,
           .channels = {0},
           .fill = x.fill};
    break;
  }
  const bool by_value = map.in_channels == 1 && std::ssize(map.pixels) == to.size();
  if (by_value && to.is_image() && to.channels > 1) {
    std::swap(map.pixels, map.channels);
    std::swap(map.in_pixels, map.in_channels);
    const View row =
        append({x.value}, layers::Select::Options{.map = map}, {0, 0, to.size()}, dims);
    map = {.in_pixels = to.pixels(),
           .in_channels = to.channels,
           .pixels = numbers_to(to.pixels()),
           .channels = numbers_to(to.channels)};
    return append({row.value},
                  layers::Select::Options{.map = map, .height = to.height, .width = to.width}, to,
                  dims);
  }
  return append({x.value},
                layers::Select::Options{.map = map, .height = to.height, .width = to.width}, to,
                dims);
}

Layout Draft::image_layout(const View& x) const {
  if (!is_picture(x.dims)) fail("it reads {}, which is no image of one picture", text(x.dims));
  return {x.dims[2], x.dims[3], x.dims[1]};
}

/// As an image of ours whose elements are all of its value.
View Draft::as_image(const View& x) {
  const Layout to = image_layout(x);
  if (in_order(x) && layout(x) == to) {
    View view = x;
    view.places.reset();
    return view;
  }
  const std::vector<std::int64_t> from = places(x), at = image_places(x.dims);
  std::vector<std::int64_t> ordered(from.size());
  for (std::size_t i = 0; i < from.size(); ++i) ordered[static_cast<std::size_t>(at[i])] = from[i];
  return select(x, ordered, to, x.dims);
}

/// As a row of ours in the order of x.
View Draft::as_row(const View& x) {
  const Layout to{0, 0, count(x.dims)};
  const Dims flat = {1, to.channels};
  const std::vector<std::int64_t> from = places(x);
  if (layout(x) == to && from == numbers_to(to.channels)) {
    View view = x;
    view.places.reset();
    view.frame.reset();
    view.dims = flat;
    return view;
  }
  return select(x, from, to, flat);
}

/// As a view of all elements of its value, each once.
View Draft::whole(const View& x) {
  if (!x.places && !x.frame) return x;
  const std::vector<std::int64_t> from = places(x);
  std::vector<bool> seen(static_cast<std::size_t>(layout(x).size()), false);
  bool all = from.size() == seen.size();
  for (std::size_t i = 0; all && i < from.size(); ++i) {
    all = from[i] >= 0 && !seen[static_cast<std::size_t>(from[i])];
    if (all) seen[static_cast<std::size_t>(from[i])] = true;
  }
  if (all) return x;
  if (is_picture(x.dims)) return as_image(x);
  const View row = as_row(x);
  return reshape(row, x.dims);
}

/// As a value whose elements lie as those of the other one, which is whole and of the same extents.
View Draft::arranged_as(const View& x, const View& other) {
  const std::vector<std::int64_t> from = places(x), at = places(other);
  if (from == at && layout(x) == layout(other)) return x;
  std::vector<std::int64_t> ordered(from.size());
  for (std::size_t i = 0; i < from.size(); ++i) ordered[static_cast<std::size_t>(at[i])] = from[i];
  View made = select(x, ordered, layout(other), other.dims);
  made.places = other.places;
  return made;
}

Draft::Result Draft::finish(const View& scores) {
  View x = scores;
  constexpr std::int64_t most_classes = 100000, most_without_dense = 4096;
  if (count(x.dims) < 2 || count(x.dims) > most_classes ||
      std::ranges::count_if(x.dims, [](std::int64_t extent) { return extent > 1; }) != 1)
    fail("the network makes {} of a picture, which are no scores of 2 to {} classes", text(x.dims),
         most_classes);
  const auto made_by = [&](const View& view) -> const layers::NodeSpec* {
    return view.value > 0 ? &nodes_[static_cast<std::size_t>(view.value - 1)].spec : nullptr;
  };
  if (const auto* last = made_by(x)) {
    const auto* softmax = std::get_if<layers::SoftmaxNode>(&last->leaf);
    if (softmax && softmax->values == layout(x).size()) x.value = last->inputs[0];
  }
  const std::int64_t classes = count(x.dims);
  const auto* last = made_by(x);
  const auto* dense = last ? std::get_if<layers::DenseNode>(&last->leaf) : nullptr;
  if (!dense || !dense->activation.is_identity() || places(x) != numbers_to(classes)) {
    if (classes > most_without_dense)
      fail("no dense layer makes the scores of its {} classes; without one {} are read", classes,
           most_without_dense);
    Constant identity{{classes, classes},
                      std::vector<float>(static_cast<std::size_t>(classes * classes), 0.0f)};
    for (std::int64_t i = 0; i < classes; ++i)
      std::get<0>(identity.values)[static_cast<std::size_t>(i * classes + i)] = 1.0f;
    set_name("scores");
    x = product(reshape(x, {1, classes}), identity);
  }

  // What the scores do not depend on goes.
  std::vector<bool> used(nodes_.size() + 1, false);
  used[static_cast<std::size_t>(x.value)] = true;
  for (std::size_t i = nodes_.size(); i-- > 0;)
    if (used[i + 1])
      for (const Value input : nodes_[i].spec.inputs) used[static_cast<std::size_t>(input)] = true;
  if (!used[0]) fail("the scores do not depend on the picture");
  Result result{.nodes = {}, .tensors = {}, .classes = classes};
  std::vector<Value> number(nodes_.size() + 1, 0);
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (!used[i + 1]) continue;
    DraftNode& node = nodes_[i];
    for (Value& input : node.spec.inputs) input = number[static_cast<std::size_t>(input)];
    const auto put = [&](const char* tensor, Dims dims, std::span<const float> values) {
      result.tensors.emplace(node.spec.name + tensor,
                             SafeTensor::from_floats(std::move(dims), values));
    };
    if (const auto* conv = std::get_if<kernels::GroupedConv2dShape>(&node.spec.leaf))
      put(".weight", {conv->out_c, conv->inputs_of_group(), conv->kernel_h, conv->kernel_w},
          node.weight);
    if (const auto* affine = std::get_if<layers::Affine::Options>(&node.spec.leaf)) {
      put(".weight", {affine->channels}, to_floats(node.scale));
      put(".bias", {affine->channels}, to_floats(node.bias));
    }
    if (const auto* head = std::get_if<layers::DenseNode>(&node.spec.leaf)) {
      put(".weight", {head->out, std::ssize(node.weight) / head->out}, node.weight);
      put(".bias", {head->out}, to_floats(node.bias));
    }
    result.nodes.push_back(std::move(node.spec));
    number[i + 1] = static_cast<Value>(result.nodes.size());
  }
  return result;
}

}  // namespace pixeldp::onnx
