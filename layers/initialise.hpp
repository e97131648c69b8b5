#pragma once

#include <cstdint>

#include "engine/tensor.hpp"

namespace pixeldp::layers {

/// Values with mean 0 and the given standard deviation, addressed by (seed, parameter): the same on
/// every machine. `parameter` counts the network's parameters.
void fill_normal(Tensor& tensor, double deviation, std::uint64_t seed, std::uint32_t parameter);

/// Uniform values in (-limit, limit).
void fill_uniform(Tensor& tensor, double limit, std::uint64_t seed, std::uint32_t parameter);

}  // namespace pixeldp::layers
