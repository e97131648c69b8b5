#pragma once

#include "kernels/row_operation.hpp"

namespace pixeldp::kernels {

/// y[p, c] = a[p, c] * b[c]: a factor for each channel of an image, or, as one pixel, for each
/// value.
class Multiplication : public RowOperation {
 public:
  /// Throws an Error for no pixels or no channels.
  Multiplication(std::int64_t pixels, std::int64_t channels);

  std::string_view name() const override { return "multiplication"; }
  std::vector<std::int64_t> input_sizes() const override {
    return {pixels_ * channels_, channels_};
  }
  std::int64_t output_size() const override { return pixels_ * channels_; }
  void run(std::span<const float* const> x, float* y) const override;
  /// The gradient in b is summed by ascending p.
  void backward(std::span<const float* const> x, const float* y, const float* dy,
                std::span<float* const> dx) const override;
  std::int64_t pixels() const { return pixels_; }
  std::int64_t channels() const { return channels_; }

 private:
  std::int64_t pixels_, channels_;
};

/// y[g, i] = e^x[g, i] / sum over j of e^x[g, j], by the C library, in double precision
/// until it is rounded.
class Softmax : public RowOperation {
 public:
  /// Throws an Error for no groups or no values.
  Softmax(std::int64_t groups, std::int64_t values);

  std::string_view name() const override { return "softmax"; }
  std::vector<std::int64_t> input_sizes() const override { return {groups_ * values_}; }
  std::int64_t output_size() const override { return groups_ * values_; }
  void run(std::span<const float* const> x, float* y) const override;
  void backward(std::span<const float* const> x, const float* y, const float* dy,
                std::span<float* const> dx) const override;

 private:
  std::int64_t groups_, values_;
};

}  // namespace pixeldp::kernels
