#include <algorithm>

#include <omp.h>

#include "kernels/cpu/operations.hpp"
#include "kernels/cpu/product.hpp"

namespace pixeldp::kernels::cpu {
namespace {

/// A product in fp32 whose rows are shared out to the threads.
class PreparedProduct : public Prepared {
 public:
  PreparedProduct(const Conv2dShape& shape, std::span<const float> weight,
                  std::span<const float> shift, Activation activation)
      : rows_(shape.batch),
        in_(shape.in_h * shape.in_w * shape.in_c),
        out_(shape.out_h() * shape.out_w() * shape.out_c),
        activation_(activation),
        product_(shape, Precision::fp32, weight, shift) {}

  void run(const float* x, float* y, const float* residual) const override {
    const std::int64_t team = omp_in_parallel() ? 1 : omp_get_max_threads();
    const std::int64_t part = std::max<std::int64_t>(1, (rows_ + team - 1) / team);
#pragma omp parallel for num_threads(static_cast <int>(team)) if (team > 1)
    for (std::int64_t first = 0; first < rows_; first += part) {
      const std::int64_t count = std::min(part, rows_ - first);
      thread_local std::vector<std::byte> scratch;
      const auto size = static_cast<std::size_t>(product_.scratch_size(count));
      if (scratch.size() < size) scratch.resize(size);
      product_.run(count, x + first * in_,
                   {.activation = activation_,
                    .target = {.real = y + first * out_},
                    .residual = residual ? residual + first * out_ : nullptr},
                   scratch.data());
    }
  }

 private:
  std::int64_t rows_, in_, out_;
  Activation activation_;
  Product product_;
};

std::span<const float> values_or_none(const float* values, std::int64_t count) {
  return {values, values ? static_cast<std::size_t>(count) : 0};
}

}  // namespace

std::unique_ptr<Prepared> prepare_conv2d(const Conv2dShape& shape, const float* weight,
                                         const Conv2dEpilogue& epilogue) {
  return std::make_unique<PreparedProduct>(
      shape,
      scaled_weight(values_or_none(weight, shape.weight_size()),
                    values_or_none(epilogue.scale, shape.out_c)),
      values_or_none(epilogue.shift, shape.out_c), epilogue.activation);
}

std::unique_ptr<Prepared> prepare_dense(const DenseShape& shape, const float* weight,
                                        const float* bias, Activation activation) {
  return std::make_unique<PreparedProduct>(as_convolution(shape),
                                           values_or_none(weight, shape.in * shape.out),
                                           values_or_none(bias, shape.out), activation);
}

}  // namespace pixeldp::kernels::cpu
