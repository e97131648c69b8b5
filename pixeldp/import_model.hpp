#pragma once

#include <string>

#include "pixeldp/model.hpp"

namespace pixeldp {

/// What a foreign file of weights does not say.
struct ImportOptions {
  std::string name;
  std::string dataset;  ///< the data set it was trained on
  double pixel_shift = 0.0;
  layers::NetworkSpec spec;  ///< channels and classes are read from the file
};

/// A model without noise from weights that another program trained: safetensors with PyTorch's
/// names, as the architecture has them, but for prefixes that wrappers add ("module.", "model.")
/// and what only PyTorch's own training needs ("num_batches_tracked"). `what` names the file in
/// errors. Throws an Error that names the tensor that is missing, does not fit or belongs to
/// another network.
Model import_model(const SafetensorsFile& file, const std::string& what,
                   const ImportOptions& options);

}  // namespace pixeldp
