#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/cuda/on_devices.hpp"

namespace pixeldp::kernels {

// Weights in the order in which the lanes of a warp want them for mma_bf16, so that kernels can
// take them straight from memory: packed[kernel row, 16 inputs, kernel column, 16 outputs, lane, 8
// values], in bf16. Lane 4 g + t has inputs 2t, 2t + 1, 2t + 8 and 2t + 9 of output g, and then of
// output g + 8.
//
// From the weights OIHW [out_c, in_c, kernel, kernel] of a convolution in single precision, or of a
// dense layer with kernel 1; in_c and out_c are multiples of 16, packed is aligned to 16 bytes. All
// in device memory; returns before the work is done.

// pack_matrices: weights of a dense layer, packed so or by pack_int8_fragments, in the order of
// wgmma_matrices (kernels/cuda/ptx/wgmma.cuh), so that those of `columns` outputs and one step, 32
// bytes of inputs, lie side by side: packed[out_c / columns, steps, columns / 8, two times 16 bytes
// of inputs, 8 outputs, 16 bytes]. columns is a multiple of 8, out_c of 16 and of columns.

/// The same for mma_s8, of bytes, in host memory: packed[kernel row, 32 inputs, kernel column, 16
/// outputs, lane, 16 values], of which lane 4 g + t has inputs 4t ... 4t + 3 and 4t + 16 ... 4t +
/// 19 of output g, and then of output g + 8; in_c is a multiple of 32.
std::vector<std::int8_t> pack_int8_fragments(std::int64_t in_c, std::int64_t kernel,
                                             std::int64_t out_c,
                                             std::span<const std::int8_t> weight);

PIXELDP_ON_DEVICES(  //
    void pack_fragments(void* stream, int in_c, int kernel, int out_c, const float* weight,
                        std::uint16_t* packed);
    void pack_matrices(void* stream, std::int64_t steps, int columns, int out_c,
                       const void* fragments, void* packed);)

}  // namespace pixeldp::kernels
