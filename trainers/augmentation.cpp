#include "trainers/augmentation.hpp"

#include "engine/philox.hpp"

namespace pixeldp {

Placement random_placement(const Augmentation& augmentation, std::uint64_t seed,
                           std::uint32_t image_id, std::uint32_t epoch) {
  const auto words = Philox::at(seed, StreamTag::augmentation, image_id, epoch, 0);
  // The product's upper half: its bias is below 2^-24 for any pad that an image bears.
  const auto offset = [&](std::uint32_t word) {
    const auto choices = static_cast<std::uint64_t>(2 * augmentation.pad + 1);
    return static_cast<std::int64_t>(word * choices >> 32) - augmentation.pad;
  };
  return {.down = offset(words[0]),
          .right = offset(words[1]),
          .mirrored = augmentation.mirror && (words[2] >> 31) != 0};
}

void to_float(const Dataset& dataset, std::int64_t image, const Placement& placement, float* out,
              float shift) {
  const std::int64_t height = dataset.height, width = dataset.width, channels = dataset.channels;
  Bytes pixels(static_cast<std::size_t>(dataset.image_size()));
  dataset.read(image, pixels.data());
  const float black = pixel_value(0, shift);
  for (std::int64_t row = 0; row < height; ++row) {
    const std::int64_t from_row = row + placement.down;
    for (std::int64_t column = 0; column < width; ++column, out += channels) {
      const std::int64_t from_column =
          (placement.mirrored ? width - 1 - column : column) + placement.right;
      const bool inside =
          from_row >= 0 && from_row < height && from_column >= 0 && from_column < width;
      const std::uint8_t* from = pixels.data() + (from_row * width + from_column) * channels;
      for (std::int64_t c = 0; c < channels; ++c)
        out[c] = inside ? pixel_value(from[c], shift) : black;
    }
  }
}

}  // namespace pixeldp
