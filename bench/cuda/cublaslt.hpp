#pragma once

#include "bench/device/rivals.hpp"

namespace pixeldp::bench::cublaslt {

/// bench::matrix_product on a GPU. The library is loaded when first asked for.
Rival matrix_product(Inputs& inputs, ProductType type, std::int64_t n);

}  // namespace pixeldp::bench::cublaslt
