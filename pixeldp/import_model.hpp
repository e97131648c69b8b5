#pragma once

#include <optional>
#include <string>

#include "pixeldp/input_noise.hpp"

namespace pixeldp {

/// What a foreign file of weights does not say.
struct ImportOptions {
  std::string name;
  std::string dataset;  ///< the data set it was trained on
  double pixel_shift = 0.0;
  std::int64_t short_side = 0;  ///< ImageForm::short_side
  /// Channels and classes are read from the file; and means and deviations, where it has them.
  layers::NetworkSpec spec;
  std::optional<InputNoise> noise = {};  ///< that it was trained with; none: without noise
};

/// Means or deviations that images are normalised by, and where they are from.
struct GivenStatistic {
  std::string source;
  std::vector<double> values;
};

/// Throws a usage error for what pixels spanning 1, from `shift` on, cannot have, and for a shift
/// that is not from -1 to 1.
void check_normalisation(const std::string& what, const GivenStatistic& mean,
                         const GivenStatistic& deviation, double shift);

/// A model from weights that another program trained: safetensors with PyTorch's names, as the
/// architecture has them, but for one prefix that all of them share ("module.", "1.", "_orig_mod.":
/// wrappers add it) and what only training needs ("num_batches_tracked", "AuxLogits."). Tensors
/// named like means and deviations ("0.means", "normalize.std"), one value for each channel, are
/// those that images are normalised by; where the options give them, too, both must agree to three
/// decimals. `what` names the file in errors. Throws an Error that names the tensor that is
/// missing, with what the file has, does not fit or belongs to another network, and for means and
/// deviations that pixels spanning 1 cannot have.
Model import_model(const SafetensorsFile& file, const std::string& what,
                   const ImportOptions& options);

}  // namespace pixeldp
