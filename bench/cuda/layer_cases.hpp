#pragma once

#include "bench/cuda/kernel_cases.hpp"

// Parts of the list of kernel_cases.hpp, for the device whose namespace PIXELDP_DEVICE names.
namespace pixeldp::bench::PIXELDP_DEVICE {

/// Column sums of a matrix.
KernelCase column_sums(std::int64_t rows, std::int64_t columns);

KernelCase parseval(std::int64_t rows, std::int64_t cols);
KernelCase ball_step(std::int64_t rows, std::int64_t values);
KernelCase slice_norms(std::int64_t outer, std::int64_t slices, std::int64_t inner);

/// Everything from x to y, from dy to dx, and y by fixed statistics.
std::vector<KernelCase> batch_norm(std::int64_t rows, std::int64_t channels);

/// The parts of a residual network that are no convolutions: images of side x side pixels at the
/// beginning, a sixteenth of them at the end, where there are four times the channels.
std::vector<KernelCase> residual_parts(std::int64_t images, std::int64_t side,
                                       std::int64_t channels);

/// Activation and bias of rows x width, the loss, images standardised, and a step of the optimiser
/// on 2^log_weights weights.
std::vector<KernelCase> training_parts(std::int64_t rows, std::int64_t width, std::int64_t images,
                                       std::int64_t values, int log_weights);

/// Row operations on images of side x side pixels.
std::vector<KernelCase> row_operations(std::int64_t rows, std::int64_t side, std::int64_t channels);

/// Convolutions, dense layers and what goes with them.
std::vector<KernelCase> convolution_cases(CaseSize size);

}  // namespace pixeldp::bench::PIXELDP_DEVICE
