#pragma once

#include <span>
#include <vector>

#include "engine/io/dataset.hpp"
#include "pixeldp/model.hpp"
#include "pixeldp/precision.hpp"

namespace pixeldp {

/// Scales for int8 from one noisy draw of each of the first `images` images, which are to be ones
/// that the model was trained on: a layer's scale is the largest magnitude that it reads, divided
/// by 127. The draws have a stream tag of their own. Throws an Error where the images do not fit
/// the model, or a layer reads nothing but zeros or something that is not finite; an Interruption
/// when the process is interrupted.
Quantisation quantise(const Model& model, const Dataset& dataset, std::int64_t images,
                      std::uint64_t seed);

/// Those of a plan's steps, for kernels::prepare_inference; empty for other precisions than int8.
/// Throws an Error that names what is lacking.
std::vector<float> scales_of(const kernels::InferencePlan& plan, kernels::Precision precision,
                             const Quantisation* quantisation);

}  // namespace pixeldp
