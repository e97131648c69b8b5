#pragma once

#include <string>

#include "engine/io/onnx.hpp"
#include "pixeldp/import_model.hpp"

namespace pixeldp {

/// A model of a whole network that another program wrote, with its weights (pixeldp/onnx/): of the
/// options' specification only means and deviations are looked at, which come before what the file
/// normalises itself. `what` names the file in errors. Throws an Error that names the node and its
/// operator for what is not read, and for weights that are not finite.
Model import_onnx(const OnnxModel& file, const std::string& what, const ImportOptions& options);

}  // namespace pixeldp
