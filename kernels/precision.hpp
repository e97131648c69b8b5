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
/// fp32, if not always in the same way (kernels/convolution.hpp).
std::string product_obstacle(Precision precision, const CpuFeatures& features = cpu_features());

/// Throws an Error for int8, which no operation on changing weights multiplies in.
void check_product_precision(Precision precision);

}  // namespace pixeldp::kernels
