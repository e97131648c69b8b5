#pragma once

#include "kernels/convolution.hpp"
#include "kernels/row_operation.hpp"

namespace pixeldp::kernels {

/// The largest value, or the mean, of each channel over windows of an image. x is [in_h, in_w,
/// channels], y [out_h, out_w, channels]; where frameworks round the number of windows up, the last
/// ones may end beyond the padding.
struct WindowPoolShape {
  enum class Kind { max, average };

  Kind kind = Kind::max;
  std::int64_t in_h = 0, in_w = 0, channels = 0, out_h = 0, out_w = 0;
  std::int64_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1;
  std::int64_t dilation_h = 1, dilation_w = 1;
  Padding pad_h, pad_w;
  /// A mean divides by the pixels of the window that lie in the image (TensorFlow), or by those in
  /// the image and its padding (PyTorch, unless told otherwise). Padding is 0, and is never the
  /// largest value.
  bool count_padding = false;

  bool operator==(const WindowPoolShape&) const = default;
};

class WindowPool : public RowOperation {
 public:
  /// Throws an Error where extents, strides or dilations are below 1 or beyond 2^20, padding is
  /// below 0, or a window has no pixel of the image.
  explicit WindowPool(const WindowPoolShape& shape);

  std::string_view name() const override;
  std::vector<std::int64_t> input_sizes() const override {
    return {shape_.in_h * shape_.in_w * shape_.channels};
  }
  std::int64_t output_size() const override {
    return shape_.out_h * shape_.out_w * shape_.channels;
  }
  /// Sums are taken by ascending rows of the window, then columns.
  void run(std::span<const float* const> x, float* y) const override;
  /// Of several largest values the first one, in that order, gets the gradient.
  void backward(std::span<const float* const> x, const float* y, const float* dy,
                std::span<float* const> dx) const override;
  const WindowPoolShape& shape() const { return shape_; }

 private:
  template <class Visit>
  void for_window(std::int64_t p, std::int64_t q, Visit visit) const;
  float divisor(std::int64_t p, std::int64_t q) const;

  WindowPoolShape shape_;
};

}  // namespace pixeldp::kernels
