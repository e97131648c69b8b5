#pragma once

#include "kernels/operations.hpp"

/// The operations of training that NVIDIA's libraries know too: dense layers by cuBLAS where it is
/// there; convolutions in bf16 by cuDNN where that is asked for (see convolution_choice.hpp); by
/// the project's kernels otherwise.
namespace pixeldp::kernels::cuda::libraries {

decltype(kernels::conv2d_forward) conv2d_forward;
decltype(kernels::conv2d_backward_data) conv2d_backward_data;
decltype(kernels::conv2d_backward_weight) conv2d_backward_weight;
decltype(kernels::dense_forward) dense_forward;
decltype(kernels::dense_backward_data) dense_backward_data;
decltype(kernels::dense_backward_weight) dense_backward_weight;
decltype(kernels::training_convolution) training_convolution;
decltype(kernels::training_dense) training_dense;

/// The table of GPUs: the operations of this namespace, and the project's own for all else.
const Operations& operations();

/// Frees what the libraries keep for a stream: before it is destroyed, and never while it works.
void release(void* stream);

}  // namespace pixeldp::kernels::cuda::libraries
