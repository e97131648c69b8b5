#include "engine/io/resize.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/error.hpp"

namespace pixeldp {
namespace {

constexpr int weight_bits = 22;

/// Output pixel i of one axis is the sum of weights[k] times input pixel first + k.
struct Taps {
  std::int64_t first = 0;
  std::vector<std::int32_t> weights;
};

/// Those of `count` output pixels from `begin` on, where `input` pixels become `output`. Sums and
/// products in double precision, in one order: the same everywhere.
std::vector<Taps> triangle_taps(std::int64_t input, std::int64_t output, std::int64_t begin,
                                std::int64_t count) {
  const double scale = static_cast<double>(input) / static_cast<double>(output);
  const double support = std::max(scale, 1.0);
  std::vector<Taps> taps(static_cast<std::size_t>(count));
  std::vector<double> weights;
  for (std::int64_t i = 0; i < count; ++i) {
    const double centre = (static_cast<double>(begin + i) + 0.5) * scale;
    const auto first = std::max<std::int64_t>(static_cast<std::int64_t>(centre - support + 0.5), 0);
    const auto last = std::min(static_cast<std::int64_t>(centre + support + 0.5), input);
    weights.clear();
    double sum = 0.0;
    for (std::int64_t x = first; x < last; ++x) {
      const double distance = std::abs((static_cast<double>(x) - centre + 0.5) * (1.0 / support));
      weights.push_back(std::max(1.0 - distance, 0.0));
      sum += weights.back();
    }
    Taps& made = taps[static_cast<std::size_t>(i)];
    made.first = first;
    for (const double weight : weights)
      made.weights.push_back(static_cast<std::int32_t>(0.5 + weight / sum * (1 << weight_bits)));
  }
  return taps;
}

/// One output value from inputs that lie `stride` apart.
std::uint8_t filtered(const Taps& taps, const std::uint8_t* input, std::int64_t stride) {
  std::int32_t sum = 1 << (weight_bits - 1);  // at most 255 << weight_bits in all, and half
  for (const std::int32_t weight : taps.weights) sum += weight * *input, input += stride;
  return static_cast<std::uint8_t>(std::clamp(sum >> weight_bits, 0, 255));
}

/// Half of what is left over, rounded to even as Python's round() does.
std::int64_t margin(std::int64_t all, std::int64_t window) {
  const std::int64_t half = (all - window) / 2;
  return half + ((all - window) & half & 1);
}

}  // namespace

Image resized_centre(const Image& image, std::int64_t short_side, std::int64_t height,
                     std::int64_t width) {
  if (height < 1 || width < 1 || short_side < std::max(height, width))
    fail("a window of {}x{} pixels is not within a picture whose shorter side has {}", width,
         height, short_side);
  const std::int64_t shorter = std::min(image.height, image.width), channels = image.channels;
  if (shorter < 1) fail("a picture of {}x{} pixels has none", image.width, image.height);
  const std::int64_t all_rows = short_side * image.height / shorter;
  const std::int64_t all_columns = short_side * image.width / shorter;
  const std::vector<Taps> columns =
      triangle_taps(image.width, all_columns, margin(all_columns, width), width);
  const std::vector<Taps> rows =
      triangle_taps(image.height, all_rows, margin(all_rows, height), height);

  // Of the rows that the window is made of.
  const std::int64_t first = rows.front().first;
  const std::int64_t last = rows.back().first + std::ssize(rows.back().weights);
  const std::int64_t stride = width * channels;
  Bytes across(static_cast<std::size_t>((last - first) * stride));
  auto* out = across.data();
  for (std::int64_t row = first; row < last; ++row)
    for (const Taps& taps : columns)
      for (std::int64_t c = 0; c < channels; ++c)
        *out++ = filtered(
            taps, image.pixels.data() + (row * image.width + taps.first) * channels + c, channels);

  Image result{.height = height, .width = width, .channels = channels, .pixels = {}};
  result.pixels.reserve(static_cast<std::size_t>(height * stride));
  for (const Taps& taps : rows)
    for (std::int64_t i = 0; i < stride; ++i)
      result.pixels.push_back(
          filtered(taps, across.data() + (taps.first - first) * stride + i, stride));
  return result;
}

}  // namespace pixeldp
