#pragma once

#include "kernels/operations.hpp"

/// The operations on processors: work is done when a call returns, whatever the stream.
namespace pixeldp::kernels::cpu {

PIXELDP_OPERATIONS(PIXELDP_DECLARE_OPERATION)
const Operations& operations();

}  // namespace pixeldp::kernels::cpu
