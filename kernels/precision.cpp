#include "kernels/precision.hpp"

#include "engine/error.hpp"

namespace pixeldp::kernels {

std::string product_obstacle(Precision precision, const CpuFeatures& features) {
  if (precision == Precision::bf16 && !features.bf16)
    return "this processor has no AVX-512 BF16, which products of bf16 take";
  if (precision == Precision::int8) return "only what never changes again is multiplied in int8";
  return {};
}

void check_product_precision(Precision precision) {
  switch (precision) {
    case Precision::fp32:
    case Precision::tf32:
    case Precision::bf16:
      return;
    case Precision::int8:
      fail("{}: multiply in fp32", product_obstacle(precision));
  }
  fail("{} is no precision", static_cast<int>(precision));
}

}  // namespace pixeldp::kernels
