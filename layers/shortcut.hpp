#pragma once

#include "kernels/pooling.hpp"
#include "layers/layer.hpp"

namespace pixeldp::layers {

/// The way around the convolutions of a residual unit where resolution or channels change, without
/// parameters: less resolution, and zeros for the channels that are lacking.
class Shortcut : public Layer {
 public:
  struct Options {
    std::int64_t in_c = 1, out_c = 1, stride = 1;
    kernels::ShortcutKind kind = kernels::ShortcutKind::average;

    /// Whether it changes nothing: then a network has none.
    bool is_identity() const { return in_c == out_c && stride == 1; }
  };

  Shortcut(std::string name, const Options& options) : Layer(std::move(name)), options_(options) {}

  Shape output_shape(std::span<const Shape> x) const override;
  void forward(const Pass& pass, std::span<const Tensor* const> x, Tensor& y,
               Saved& saved) override;
  void backward(const Pass& pass, std::span<const Tensor* const> x, const Tensor& y, Saved& saved,
                Tensor& dy, std::span<Tensor* const> dx) override;
  kernels::InferenceStep lower(const Stream& stream, std::span<const Shape> x) const override;

 private:
  kernels::ShortcutShape kernel_shape(const Shape& x) const;

  Options options_;
};

}  // namespace pixeldp::layers
