#pragma once

#include <memory>

#include "kernels/multi_draw.hpp"
#include "layers/network.hpp"

namespace pixeldp::layers {

/// The network from its noise to its statistics as one kernel, with the weights as they are now, in
/// the memory of the stream's device. Null where the device has none for such a network: a
/// convolution with ReLU, a dense layer with ReLU, and the head.
std::unique_ptr<kernels::MultiDraw> prepare_multi_draw(const Stream& stream,
                                                       const Network& network);

}  // namespace pixeldp::layers
