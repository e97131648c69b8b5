#include "layers/row_layers.hpp"

#include "engine/error.hpp"
#include "kernels/pointwise.hpp"
#include "kernels/row_products.hpp"

namespace pixeldp::layers {

using Operation = std::shared_ptr<const kernels::RowOperation>;

Shape WindowPool::output_shape(std::span<const Shape> x) const {
  const std::int64_t rows = x[0][0];
  if (x[0] != Shape{rows, shape_.in_h, shape_.in_w, shape_.channels})
    fail("layer {} takes images of {}x{}x{}, not {}", name(), shape_.in_h, shape_.in_w,
         shape_.channels, x[0].text());
  return {rows, shape_.out_h, shape_.out_w, shape_.channels};
}

Operation WindowPool::operation(std::span<const Shape>) const {
  return std::make_shared<kernels::WindowPool>(shape_);
}

Operation Pointwise::operation(std::span<const Shape> x) const {
  return std::make_shared<kernels::Pointwise>(function_, x[0].row_size());
}

Shape Multiply::output_shape(std::span<const Shape> x) const {
  const bool by_channel = x[0].rank() == 4 && x[0][3] == x[1].row_size();
  if (x[0] != x[1] && !by_channel)
    fail("layer {} multiplies values of one shape, or images by channel, not {} by {}", name(),
         x[0].text(), x[1].text());
  return x[0];
}

Operation Multiply::operation(std::span<const Shape> x) const {
  const std::int64_t factors = x[1].row_size();
  return std::make_shared<kernels::Multiplication>(x[0].row_size() / factors, factors);
}

Shape Concatenate::output_shape(std::span<const Shape> x) const {
  const int last = x[0].rank() - 1;
  std::int64_t channels = 0;
  for (const Shape& shape : x) {
    const bool fits = shape.rank() == x[0].rank() && (last == 1 || last == 3) &&
                      (last == 1 || (shape[1] == x[0][1] && shape[2] == x[0][2]));
    if (!fits)
      fail("layer {} puts images of one size, or rows, side by side, not {} and {}", name(),
           x[0].text(), shape.text());
    channels += shape[last];
  }
  if (last == 1) return {x[0][0], channels};
  return {x[0][0], x[0][1], x[0][2], channels};
}

Operation Concatenate::operation(std::span<const Shape> x) const {
  std::vector<std::int64_t> channels;
  for (const Shape& shape : x) channels.push_back(shape[shape.rank() - 1]);
  return std::make_shared<kernels::Concatenation>(x[0].row_size() / channels[0], channels);
}

Shape Select::output_shape(std::span<const Shape> x) const {
  const kernels::SelectionMap& map = options_.map;
  const std::int64_t pixels = std::ssize(map.pixels), channels = std::ssize(map.channels);
  if (x[0].row_size() != map.in_pixels * map.in_channels)
    fail("layer {} takes rows of {} values, not {}", name(), map.in_pixels * map.in_channels,
         x[0].text());
  if (options_.height == 0) return {x[0][0], pixels * channels};
  if (options_.height * options_.width != pixels)
    fail("layer {} makes {} pixels, not {}x{}", name(), pixels, options_.height, options_.width);
  return {x[0][0], options_.height, options_.width, channels};
}

Operation Select::operation(std::span<const Shape>) const {
  return std::make_shared<kernels::Selection>(options_.map);
}

Shape Softmax::output_shape(std::span<const Shape> x) const {
  if (values_ < 1 || x[0].row_size() % values_ != 0)
    fail("layer {} takes groups of {} values, not {}", name(), values_, x[0].text());
  return x[0];
}

Operation Softmax::operation(std::span<const Shape> x) const {
  return std::make_shared<kernels::Softmax>(x[0].row_size() / values_, values_);
}

Operation LocalResponse::operation(std::span<const Shape> x) const {
  const std::int64_t channels = x[0][x[0].rank() - 1];
  return std::make_shared<kernels::LocalResponse>(params_, x[0].row_size() / channels, channels);
}

}  // namespace pixeldp::layers
