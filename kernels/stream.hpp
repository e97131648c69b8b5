#pragma once

#include "engine/device.hpp"

namespace pixeldp::kernels {

/// Waits until all operations given to the stream are done. Throws the Error of one that failed.
void synchronize(const Stream& stream);

}  // namespace pixeldp::kernels
