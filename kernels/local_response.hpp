#pragma once

#include "kernels/row_operation.hpp"

namespace pixeldp::kernels {

struct LocalResponseParams {
  std::int64_t window = 1;
  float alpha = 0.0f, beta = 0.0f, bias = 1.0f;
  bool operator==(const LocalResponseParams&) const = default;
};

/// Throws an Error for parameters that are none.
void check(const LocalResponseParams& params);

/// Local response normalisation (Krizhevsky et al. 2012) of each pixel:
///
///   y[p, c] = x[p, c] / s[p, c]^beta,
///   s[p, c] = bias + alpha / window * sum over c' of x[p, c']^2,
///             c' from c - (window - 1) / 2 to c + window / 2, as far as there are such channels
///
/// in double precision, by the C library, until it is rounded.
class LocalResponse : public RowOperation {
 public:
  /// Throws an Error for no pixels or channels, a window below 1 or beyond 2^20, and parameters
  /// that are not finite or make s less than 0 or 0.
  LocalResponse(const LocalResponseParams& params, std::int64_t pixels, std::int64_t channels);

  std::string_view name() const override { return "local response normalisation"; }
  std::vector<std::int64_t> input_sizes() const override { return {pixels_ * channels_}; }
  std::int64_t output_size() const override { return pixels_ * channels_; }
  void run(std::span<const float* const> x, float* y) const override;
  void backward(std::span<const float* const> x, const float* y, const float* dy,
                std::span<float* const> dx) const override;

 private:
  std::int64_t before() const { return (params_.window - 1) / 2; }
  std::int64_t after() const { return params_.window / 2; }
  std::vector<double> sums(const float* pixel) const;

  LocalResponseParams params_;
  std::int64_t pixels_, channels_;
};

}  // namespace pixeldp::kernels
