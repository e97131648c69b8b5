#pragma once

#include "kernels/pointwise_function.hpp"
#include "kernels/row_operation.hpp"

namespace pixeldp::kernels {

/// y = f(x), value by value.
class Pointwise : public RowOperation {
 public:
  /// Throws an Error for limits out of order and parameters that are not finite where they must be.
  Pointwise(const PointwiseFunction& function, std::int64_t size);

  std::string_view name() const override;
  std::vector<std::int64_t> input_sizes() const override { return {size_}; }
  std::int64_t output_size() const override { return size_; }
  void run(std::span<const float* const> x, float* y) const override;
  void backward(std::span<const float* const> x, const float* y, const float* dy,
                std::span<float* const> dx) const override;
  const PointwiseFunction& function() const { return function_; }
  const Limits* limits() const override;

 private:
  PointwiseFunction function_;
  std::int64_t size_;
  Limits limits_{};
};

}  // namespace pixeldp::kernels
