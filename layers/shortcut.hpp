#pragma once

#include "kernels/pooling.hpp"
#include "layers/layer.hpp"

namespace pixeldp::layers {

/// The way around the convolutions of a residual block, without parameters: less resolution, and
/// zeros for the channels that are lacking. Where nothing changes it is the identity.
class Shortcut {
 public:
  struct Options {
    std::int64_t in_c = 1, out_c = 1, stride = 1;
    kernels::ShortcutKind kind = kernels::ShortcutKind::average;
  };

  /// `block` is named in errors.
  Shortcut(std::string block, const Options& options)
      : block_(std::move(block)), options_(options) {}

  bool is_identity() const { return options_.in_c == options_.out_c && options_.stride == 1; }
  kernels::ShortcutShape kernel_shape(const Shape& input) const;
  Shape output_shape(const Shape& input) const;

  /// x itself where this is the identity, else what is written to `memory`.
  const Tensor& forward(const Stream& stream, const Tensor& x, Tensor& memory) const;
  /// x itself where this is the identity, else a step's result.
  int plan(kernels::InferencePlan& plan, int x, const Shape& input) const;
  /// Adds the gradient in x, from dy, to dx, which has x's shape.
  void add_gradient(const Stream& stream, const Tensor& dy, Tensor& dx, Tensor& memory) const;

 private:
  std::string block_;
  Options options_;
};

}  // namespace pixeldp::layers
