#pragma once

#include <cstdint>
#include <span>

#include "engine/device.hpp"
#include "pixeldp/calibration.hpp"
#include "pixeldp/sensitivity.hpp"

namespace pixeldp {

// Two ways besides Parseval projection (kernels/parseval.hpp) to keep the sensitivity of the layer
// before the noise at 1 while it is trained. Each changes the weight in place; what the sensitivity
// then really is, network_sensitivity tells. The weight lies in the stream's memory, and has the
// same bits on every device.

/// Divides the slice of every input channel (all taps and output channels) by its 1-norm (Laplace)
/// or 2-norm (Gaussian), so that the faithful sensitivity to attacks in the 1-norm is 1. Norms
/// below 1e-12 count as 1e-12.
void normalise_columns(const Stream& stream, std::span<float> weight, const ConvGeometry& geometry,
                       Mechanism mechanism);

/// Divides the slice of every output channel by its 1-norm, so that Delta_{inf,inf} is 1.
void normalise_rows(const Stream& stream, std::span<float> weight, const ConvGeometry& geometry);

}  // namespace pixeldp
