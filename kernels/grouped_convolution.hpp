#pragma once

#include <compare>
#include <string>

#include "kernels/convolution.hpp"
#include "kernels/grouped_span.hpp"
#include "kernels/row_operation.hpp"

namespace pixeldp::kernels {

/// A convolution of one row in groups: output channel o reads the input channels of its group
/// alone, o / (out_c / groups), of which there are in_c / groups. One channel to each group makes
/// it depthwise. Taps lie `dilation` pixels apart. x is [in_h, in_w, in_c], the weight [out_c,
/// in_c / groups, kernel_h, kernel_w], y [out_h(), out_w(), out_c].
struct GroupedConv2dShape {
  std::int64_t in_h = 0, in_w = 0, in_c = 0, out_c = 0, groups = 1;
  std::int64_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1;
  std::int64_t dilation_h = 1, dilation_w = 1;
  Padding pad_h, pad_w;

  std::int64_t out_h() const {
    return (in_h + pad_h.before + pad_h.after - dilation_h * (kernel_h - 1) - 1) / stride_h + 1;
  }
  std::int64_t out_w() const {
    return (in_w + pad_w.before + pad_w.after - dilation_w * (kernel_w - 1) - 1) / stride_w + 1;
  }
  std::int64_t inputs_of_group() const { return in_c / groups; }
  std::int64_t outputs_of_group() const { return out_c / groups; }
  std::int64_t taps() const { return kernel_h * kernel_w; }
  std::int64_t weight_size() const { return out_c * inputs_of_group() * taps(); }
  bool depthwise() const { return groups == in_c && groups == out_c; }
  /// Whether it is one that Conv2dShape describes.
  bool plain() const {
    return groups == 1 && stride_h == stride_w && dilation_h == 1 && dilation_w == 1;
  }
  bool operator==(const GroupedConv2dShape&) const = default;
};

std::string describe(const GroupedConv2dShape& shape);

/// Throws an Error for what is no convolution: an extent, channels, stride or dilation below 1 or
/// beyond 2^20, padding below 0, groups that do not divide the channels, a kernel larger than the
/// padded image.
void check_grouped_shape(const GroupedConv2dShape& shape);

class GroupedConvolution : public RowOperation {
 public:
  /// Throws the Error of check_grouped_shape, and one for weights of another number.
  GroupedConvolution(const GroupedConv2dShape& shape, std::span<const float> weight);

  std::string_view name() const override;
  std::vector<std::int64_t> input_sizes() const override {
    return {shape_.in_h * shape_.in_w * shape_.in_c};
  }
  std::int64_t output_size() const override {
    return shape_.out_h() * shape_.out_w() * shape_.out_c;
  }
  void run(std::span<const float* const> x, float* y) const override;
  /// Of the convolution alone: an Error where something was taken into its pass.
  void backward(std::span<const float* const> x, const float* y, const float* dy,
                std::span<float* const> dx) const override;
  std::shared_ptr<const RowOperation> scaled(std::span<const float> scale,
                                             std::span<const float> shift,
                                             Activation activation) const override;
  std::shared_ptr<const RowOperation> clamped(float low, float high) const override;
  /// With its weights and shifts, which belong to this.
  GroupedSpan span() const;

 private:
  std::size_t packed_place(std::int64_t output, std::int64_t input, std::int64_t tap) const;

  GroupedConv2dShape shape_;
  std::vector<float> weight_;  ///< packed as GroupedSpan says
  std::vector<float> shift_ = {};
  Activation activation_ = {};
  Limits limits_;
  bool limited_ = false;
};

/// dweight [out_c, in_c / groups, kernel_h, kernel_w] = the gradient in the weight of so many rows,
/// in double precision until it is rounded; overwritten, not added to. For processors, as run_rows.
void grouped_backward_weight(const Stream& stream, const GroupedConv2dShape& shape,
                             std::int64_t rows, const float* x, const float* dy, float* dweight);

}  // namespace pixeldp::kernels
