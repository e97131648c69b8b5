#pragma once

#include "tests/kernels/batch_norm_case.hpp"
#include "tests/kernels/pooling_case.hpp"
#include "tests/kernels/standardise_case.hpp"

/// Batch normalisation, pooling and standardised images as nvcc compiled them, with all arrays in
/// host memory.
namespace pixeldp::kernels::cuda {

BatchNormCase run_compiled(BatchNormCase c, std::size_t offset);
GlobalPoolCase run_compiled(GlobalPoolCase c, std::size_t offset);
ShortcutCase run_compiled(ShortcutCase c, std::size_t offset);
AddCase run_compiled(AddCase c, std::size_t offset);
StandardiseCase run_compiled(StandardiseCase c, std::size_t offset);

}  // namespace pixeldp::kernels::cuda
