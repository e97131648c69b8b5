#pragma once

#include "kernels/local_response.hpp"
#include "kernels/pointwise_function.hpp"
#include "kernels/rearrangement.hpp"
#include "kernels/window_pool.hpp"
#include "layers/row_layer.hpp"

// Leaves that are row operations and no more; kernels/ says what they calculate.

namespace pixeldp::layers {

/// Max or average pooling over windows.
class WindowPool : public RowLayer {
 public:
  WindowPool(std::string name, const kernels::WindowPoolShape& shape)
      : RowLayer(std::move(name)), shape_(shape) {}
  Shape output_shape(std::span<const Shape> x) const override;

 private:
  std::shared_ptr<const kernels::RowOperation> operation(std::span<const Shape> x) const override;
  kernels::WindowPoolShape shape_;
};

/// A function of each value.
class Pointwise : public RowLayer {
 public:
  Pointwise(std::string name, const kernels::PointwiseFunction& function)
      : RowLayer(std::move(name)), function_(function) {}
  Shape output_shape(std::span<const Shape> x) const override { return x[0]; }

 private:
  std::shared_ptr<const kernels::RowOperation> operation(std::span<const Shape> x) const override;
  kernels::PointwiseFunction function_;
};

/// The product of two values of one shape, or of an image and a factor for each channel [N, C].
class Multiply : public RowLayer {
 public:
  using RowLayer::RowLayer;
  std::size_t operands() const override { return 2; }
  Shape output_shape(std::span<const Shape> x) const override;

 private:
  std::shared_ptr<const kernels::RowOperation> operation(std::span<const Shape> x) const override;
};

/// Images of one size [N, H, W, C_i] to one of the sum of their channels, rows [N, C_i] likewise.
class Concatenate : public RowLayer {
 public:
  Concatenate(std::string name, std::int64_t operands)
      : RowLayer(std::move(name)), operands_(static_cast<std::size_t>(operands)) {}
  std::size_t operands() const override { return operands_; }
  Shape output_shape(std::span<const Shape> x) const override;

 private:
  std::shared_ptr<const kernels::RowOperation> operation(std::span<const Shape> x) const override;
  std::size_t operands_;
};

/// Some of a row's values, in any order, as an image or, of height 0, as a row.
class Select : public RowLayer {
 public:
  struct Options {
    kernels::SelectionMap map = {};
    std::int64_t height = 0, width = 0;
    bool operator==(const Options&) const = default;
  };

  Select(std::string name, Options options)
      : RowLayer(std::move(name)), options_(std::move(options)) {}
  Shape output_shape(std::span<const Shape> x) const override;

 private:
  std::shared_ptr<const kernels::RowOperation> operation(std::span<const Shape> x) const override;
  Options options_;
};

/// Softmax of groups of so many values that follow each other.
class Softmax : public RowLayer {
 public:
  Softmax(std::string name, std::int64_t values) : RowLayer(std::move(name)), values_(values) {}
  Shape output_shape(std::span<const Shape> x) const override;

 private:
  std::shared_ptr<const kernels::RowOperation> operation(std::span<const Shape> x) const override;
  std::int64_t values_;
};

/// Local response normalisation of images, or of rows as one pixel.
class LocalResponse : public RowLayer {
 public:
  LocalResponse(std::string name, const kernels::LocalResponseParams& params)
      : RowLayer(std::move(name)), params_(params) {}
  Shape output_shape(std::span<const Shape> x) const override { return x[0]; }

 private:
  std::shared_ptr<const kernels::RowOperation> operation(std::span<const Shape> x) const override;
  kernels::LocalResponseParams params_;
};

}  // namespace pixeldp::layers
