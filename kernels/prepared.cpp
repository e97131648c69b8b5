#include "kernels/prepared.hpp"

namespace pixeldp::kernels {

std::string product_obstacle(Precision precision, const CpuFeatures& features) {
  if (precision == Precision::bf16 && !features.bf16)
    return "this processor has no AVX-512 BF16, which products of bf16 take";
  if (precision == Precision::int8) return "only what never changes again is multiplied in int8";
  return {};
}

}  // namespace pixeldp::kernels
