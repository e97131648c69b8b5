#pragma once

#include <cstdint>
#include <memory>

#include "kernels/convolution.hpp"
#include "kernels/dense.hpp"

namespace pixeldp::kernels {

/// A weight as it is now. The version is another whenever the values are; 0: nobody says.
struct ProductWeight {
  const float* values = nullptr;
  std::uint64_t version = 0;

  bool operator==(const ProductWeight&) const = default;
};

/// Where gradients go; null: they are not wanted.
struct ProductGradients {
  float* weight = nullptr;
  float* bias = nullptr;
  float* x = nullptr;
};

/// A convolution in bf16 on a device, or a dense layer as one of images of one pixel, whose passes
/// share what they read: x is rounded once for the forward pass and the gradient in the weight, dy
/// once for both gradients, and the weight is packed once for each direction while its version is
/// the same. Results have the bits of conv2d_forward, conv2d_backward_data and
/// conv2d_backward_weight (dense_...) with Precision::bf16.
///
/// Rounded, a tensor is [pixels, channels filled up to a multiple of 8 with zeros] in bf16 (the
/// bits in a std::uint16_t, to nearest, ties to even), aligned to 16 bytes. Everything lies in the
/// memory of the stream's device; functions return before the work is done. The first call of
/// backward allocates, and no other: those behind it can be recorded into a graph.
class TrainingProduct {
 public:
  explicit TrainingProduct(const Conv2dShape& shape) : shape_(shape) {}
  virtual ~TrainingProduct() = default;
  TrainingProduct(const TrainingProduct&) = delete;
  TrainingProduct& operator=(const TrainingProduct&) = delete;

  const Conv2dShape& shape() const { return shape_; }
  virtual Device device() const = 0;
  /// Elements of dy, rounded.
  virtual std::int64_t rounded_dy_size() const = 0;
  /// Where forward() and the gradient in the weight read x, rounded: by round_x(), or by whoever
  /// made x.
  virtual std::uint16_t* rounded_x() = 0;
  virtual void round_x(const Stream& stream, const float* x) = 0;

  /// y = x (*) weight + bias; a null bias is 0.
  virtual void forward(const Stream& stream, const ProductWeight& weight, const float* bias,
                       float* y) = 0;
  /// From dy: in single precision, or, where that is not null, rounded already; only the gradient
  /// in the bias needs the former then.
  virtual void backward(const Stream& stream, const ProductWeight& weight, const float* dy,
                        const std::uint16_t* rounded_dy, const ProductGradients& to) = 0;

 private:
  Conv2dShape shape_;
};

/// Null where passes have nothing to share: on processors, in other precisions than bf16, and where
/// a library does the work of the device. Throw the Errors of conv2d_forward and dense_forward.
std::unique_ptr<TrainingProduct> training_convolution(const Stream& stream,
                                                      const Conv2dShape& shape,
                                                      Precision precision);
std::unique_ptr<TrainingProduct> training_dense(const Stream& stream, const DenseShape& shape,
                                                Precision precision);

}  // namespace pixeldp::kernels
