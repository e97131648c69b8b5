#pragma once

namespace pixeldp::kernels {

/// A function of one value, with its parameters. What is no number stays none.
struct PointwiseFunction {
  enum class Kind {
    clamp,         ///< x limited to a ... b; a gradient passes strictly between them
    sigmoid,       ///< 1 / (1 + e^-x)
    tanh,          ///< (e^x - e^-x) / (e^x + e^-x)
    elu,           ///< x > 0 ? x : a (e^x - 1)
    hard_sigmoid,  ///< a x + b limited to 0 ... 1
    hard_swish     ///< x times (x / 6 + 1/2 limited to 0 ... 1)
  };

  Kind kind = Kind::clamp;
  float a = 0.0f, b = 0.0f;

  bool operator==(const PointwiseFunction&) const = default;
};

}  // namespace pixeldp::kernels
