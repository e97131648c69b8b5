#pragma once

#include <cstdint>

namespace pixeldp::kernels {

// Weights in the order in which the lanes of a warp want them for mma_bf16, so that kernels can
// take them straight from memory: packed[kernel row, 16 inputs, kernel column, 16 outputs, lane, 8
// values], in bf16. Lane 4 g + t has inputs 2t, 2t + 1, 2t + 8 and 2t + 9 of output g, and then of
// output g + 8.
//
// From the weights OIHW [out_c, in_c, kernel, kernel] of a convolution in single precision, or of a
// dense layer with kernel 1; in_c and out_c are multiples of 16, packed is aligned to 16 bytes. All
// in device memory; returns before the work is done.

namespace cuda {
void pack_fragments(void* stream, int in_c, int kernel, int out_c, const float* weight,
                    std::uint16_t* packed);
}

namespace emulated {
void pack_fragments(void* stream, int in_c, int kernel, int out_c, const float* weight,
                    std::uint16_t* packed);
}

}  // namespace pixeldp::kernels
