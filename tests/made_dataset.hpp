#pragma once

#include <atomic>
#include <memory>

#include "engine/io/dataset.hpp"

namespace pixeldp::tests {

/// All images of a data set, N, H, W, C.
inline Bytes all_pixels(const Dataset& set) {
  Bytes pixels(static_cast<std::size_t>(set.size() * set.image_size()));
  for (std::int64_t i = 0; i < set.size(); ++i) set.read(i, pixels.data() + i * set.image_size());
  return pixels;
}

/// The images of another reader; counts how many are read.
class CountingReader : public ImageReader {
 public:
  explicit CountingReader(std::shared_ptr<const ImageReader> images) : images_(std::move(images)) {}

  void read(std::int64_t index, std::uint8_t* pixels) const override {
    ++reads_;
    images_->read(index, pixels);
  }
  std::string sha256() const override { return images_->sha256(); }
  bool decodes() const override { return images_->decodes(); }
  int reads() const { return reads_; }

 private:
  std::shared_ptr<const ImageReader> images_;
  mutable std::atomic<int> reads_ = 0;
};

}  // namespace pixeldp::tests
