#pragma once

#include "bench/cuda/kernel_cases.hpp"

namespace pixeldp::bench {

// What is compiled for GPUs and for the emulator, on the device that is meant.

std::vector<KernelCase> kernel_cases(const Device& device, CaseSize size);
KernelCase convolution_case(const Device& device, kernels::ConvDirection direction,
                            const kernels::Conv2dShape& shape);
void read_repeatedly(const Stream& stream, int blocks, const float* data, std::int64_t count,
                     int passes, float* sum);

}  // namespace pixeldp::bench
