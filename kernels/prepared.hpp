#pragma once

#include <string>

#include "engine/device.hpp"

namespace pixeldp::kernels {

/// What the operands of products may be rounded to (to nearest, ties to even); sums are always in
/// fp32. A device may keep more than it must.
enum class Precision {
  fp32,  ///< not at all: what lies before the noise, for the sensitivity is proved for that
  tf32,  ///< 11 significant bits, the range of fp32
  bf16,  ///< 8 significant bits, the range of fp32
  int8   ///< whole multiples, up to 127, of a scale: only in kernels/inference.hpp
};

/// Why a processor with these features cannot round operands of products to that precision; empty:
/// it can, or keeps more. It takes AVX-512 BF16 for bf16, and does what is asked for in tf32 in
/// fp32.
std::string product_obstacle(Precision precision, const CpuFeatures& features = cpu_features());

/// An operation whose weights never change again, made for one shape: the weights are kept in the
/// layout that the device likes best. On a processor several threads may run it at once; on other
/// devices its runs follow each other in the stream it was prepared for, which must outlive it.
class Prepared {
 public:
  virtual ~Prepared() = default;
  /// Row i of y depends on row i of x (and of the residual) only, to the last bit. On a CPU a call
  /// from within a parallel region uses one thread. The residual is for operations that were
  /// prepared with one, and is not y.
  virtual void run(const float* x, float* y, const float* residual = nullptr) const = 0;
};

}  // namespace pixeldp::kernels
