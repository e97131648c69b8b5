#pragma once

namespace pixeldp::kernels {

/// What an operation may do to its operands.
enum class Precision {
  single,  ///< products and sums in fp32: what lies before the noise, for the sensitivity is proved
           ///< for that
  device  ///< whatever the device does best: what comes after the noise, where nothing can hurt the
          ///< proof
};

/// An operation whose weights never change again, made for one shape: the weights are kept in the
/// layout that the device likes best. Immutable, so that several threads may run it at once.
class Prepared {
 public:
  virtual ~Prepared() = default;
  /// Row i of y depends on row i of x only, to the last bit. On a CPU a call from within a parallel
  /// region uses one thread.
  virtual void run(const float* x, float* y) const = 0;
};

}  // namespace pixeldp::kernels
