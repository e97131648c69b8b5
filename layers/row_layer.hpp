#pragma once

#include <memory>

#include "kernels/row_operation.hpp"
#include "layers/layer.hpp"

namespace pixeldp::layers {

/// A leaf without parameters that is a row operation, the same in training, which is for processors
/// only, and at inference.
class RowLayer : public Layer {
 public:
  using Layer::Layer;

  void forward(const Pass& pass, std::span<const Tensor* const> x, Tensor& y,
               Saved& saved) override;
  void backward(const Pass& pass, std::span<const Tensor* const> x, const Tensor& y, Saved& saved,
                Tensor& dy, std::span<Tensor* const> dx) override;
  kernels::InferenceStep lower(const Stream& stream, std::span<const Shape> x) const override;

 protected:
  /// For rows of these shapes, which output_shape has taken.
  virtual std::shared_ptr<const kernels::RowOperation> operation(
      std::span<const Shape> x) const = 0;
};

/// run_rows and run_rows_backward on tensors.
void run_rows(const Pass& pass, const kernels::RowOperation& operation,
              std::span<const Tensor* const> x, const Shape& shape, Tensor& y);
void run_rows_backward(const Pass& pass, const kernels::RowOperation& operation,
                       std::span<const Tensor* const> x, const Tensor& y, const Tensor& dy,
                       std::span<Tensor* const> dx);

/// As a step of a plan.
kernels::InferenceStep operation_step(std::string name,
                                      std::shared_ptr<const kernels::RowOperation> operation);

}  // namespace pixeldp::layers
