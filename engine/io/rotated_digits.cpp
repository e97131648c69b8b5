#include "engine/io/rotated_digits.hpp"

#include <bit>
#include <cmath>
#include <numbers>

#include "engine/philox.hpp"

namespace pixeldp {

float angle_of(std::uint32_t image_id) {
  // The seed is part of what the data set is. Training varies images by block 0 of this stream.
  constexpr std::uint64_t seed = 1;
  const std::uint32_t word = Philox::at(seed, StreamTag::augmentation, image_id, 0, 1)[0];
  return static_cast<float>(largest_angle * (word * 0x1p-31 - 1.0));
}

Bytes rotated(ByteView pixels, std::int64_t height, std::int64_t width, double degrees) {
  const double radians = degrees * std::numbers::pi / 180.0;
  const std::int64_t cosine = std::llround(std::cos(radians) * 0x1p16);
  const std::int64_t sine = std::llround(std::sin(radians) * 0x1p16);
  constexpr int bits = 17;  // of the fraction of a place: distances are in halves of a pixel
  constexpr std::int64_t one = std::int64_t{1} << bits;
  const auto pixel = [&](std::int64_t row, std::int64_t column) -> std::int64_t {
    const bool inside = row >= 0 && row < height && column >= 0 && column < width;
    return inside ? pixels[static_cast<std::size_t>(row * width + column)] : 0;
  };
  Bytes turned;
  turned.reserve(pixels.size());
  for (std::int64_t row = 0; row < height; ++row) {
    for (std::int64_t column = 0; column < width; ++column) {
      const std::int64_t y = 2 * row - (height - 1), x = 2 * column - (width - 1);
      const std::int64_t from_x = cosine * x - sine * y + (width - 1) * one / 2;
      const std::int64_t from_y = sine * x + cosine * y + (height - 1) * one / 2;
      const std::int64_t left = from_x >> bits, top = from_y >> bits;
      const std::int64_t right_share = from_x - left * one, lower_share = from_y - top * one;
      const auto line = [&](std::int64_t at) {
        return pixel(at, left) * (one - right_share) + pixel(at, left + 1) * right_share;
      };
      const std::int64_t sum = line(top) * (one - lower_share) + line(top + 1) * lower_share;
      turned.push_back(static_cast<std::uint8_t>((sum + one * one / 2) >> (2 * bits)));
    }
  }
  return turned;
}

void rotate_digits(Dataset& dataset) {
  const auto size = static_cast<std::size_t>(dataset.image_size());
  Bytes image(size), all;
  all.reserve(size * dataset.labels.size());
  std::vector<float> targets;
  Sha256 digest;
  for (std::int64_t index = 0; index < dataset.size(); ++index) {
    dataset.read(index, image.data());
    const float angle = angle_of(dataset.image_id(index));
    const Bytes turned = rotated(image, dataset.height, dataset.width, angle);
    all.insert(all.end(), turned.begin(), turned.end());
    targets.push_back(angle);
  }
  digest.update(all);
  for (const float target : targets) {
    const auto bits = std::bit_cast<std::uint32_t>(target);
    const std::uint8_t bytes[] = {
        static_cast<std::uint8_t>(bits), static_cast<std::uint8_t>(bits >> 8),
        static_cast<std::uint8_t>(bits >> 16), static_cast<std::uint8_t>(bits >> 24)};
    digest.update(bytes);
  }
  dataset.images = images_in_memory(std::move(all), dataset.image_size(), digest.hex());
  dataset.labels.clear();
  dataset.targets = std::move(targets);
  dataset.classes = 1;
}

}  // namespace pixeldp
