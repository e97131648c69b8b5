#pragma once

#include "kernels/operations.hpp"

/// The operations on GPUs and on the emulator, with everything in device memory. They return before
/// the work is done. For the table of GPUs see kernels/cuda/libraries/training.hpp.
namespace pixeldp::kernels {

namespace cuda {
PIXELDP_OPERATIONS(PIXELDP_DECLARE_OPERATION)
}

namespace emulated {
PIXELDP_OPERATIONS(PIXELDP_DECLARE_OPERATION)
const Operations& operations();
}  // namespace emulated

}  // namespace pixeldp::kernels
